import { expect, test } from "bun:test";
import { collision, folderOf, nameOf, problemOf, tidy } from "./paths";

test("paths that a version may ship", () => {
  for (const path of ["index.ts", "lib/a b/ü.ts", ".dotfile", "a".repeat(255)]) expect([path, problemOf(path)]).toEqual([path, ""]);
});

test("paths that it may not, each with its reason", () => {
  const said: [string, RegExp][] = [
    ["", /no file/], ["lib/", /no file/], ["/etc/passwd", /relative/], ["a\\b", /relative/], ["a//b", /empty/],
    ["../x", /“\.\.”/], ["a/./b", /empty/], ["a\u0000", /control/], ["a\ud800", /broken/], ["a".repeat(256), /longer/],
    ["a/".repeat(300) + "b", /longer/], ["a/".repeat(32) + "b", /deeper/], ["node_modules/x.js", /package\.json/], ["u\u0308.ts", /NFC/],
  ];
  for (const [path, reason] of said) expect(problemOf(path)).toMatch(reason);
});

test("no file beside one that some folder could not hold too", () => {
  const others = ["index.ts", "lib/a.ts"];
  expect(collision("new.ts", others)).toBe("");
  expect(collision("index.ts", others)).toMatch(/there already/);
  expect(collision("Index.ts", others)).toMatch(/differ only in case/);
  expect(collision("lib", others)).toMatch(/a folder already/);
  expect(collision("index.ts/x", others)).toMatch(/needs it as a folder/);
});

test("what was typed is tidied", () => {
  expect(tidy("  ./lib/u\u0308.ts ")).toBe("lib/ü.ts");
  expect([folderOf("a/b/c.ts"), folderOf("c.ts"), nameOf("a/b/c.ts")]).toEqual(["a/b", "", "c.ts"]);
});
