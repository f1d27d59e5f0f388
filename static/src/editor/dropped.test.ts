import { expect, test } from "bun:test";
import { arrange, bytesOf, contentOf, DROPPED_BYTES_MAX, DROPPED_FILES_MAX } from "./dropped";

const bytes = (text: string) => new TextEncoder().encode(text);
const found = (files: Record<string, string>) => new Map(Object.entries(files).map(([path, text]) => [path, bytes(text)]));

test("the folder around an app is taken off, another one is not", () => {
  expect(Object.keys(arrange(found({ "app/index.ts": "", "app/lib/a.ts": "", "__MACOSX/app/x": "" })).files)).toEqual(["index.ts", "lib/a.ts"]);
  expect(Object.keys(arrange(found({ "lib/a.ts": "", "lib/b.ts": "" })).files)).toEqual(["lib/a.ts", "lib/b.ts"]);
});

test("what is no file of a version stays out, and is said", () => {
  const given = { "index.ts": "x", "node_modules/a/b.js": "", ".git/HEAD": "", ".DS_Store": "", ".env": "A=1", "data.sqlite": "SQLite format 3\0…", "a\\b": "" };
  const { files, left } = arrange(found(given));
  expect(Object.keys(files)).toEqual(["index.ts"]);
  expect(Object.keys(left)).toEqual(["node_modules/a/b.js", ".git/HEAD", ".DS_Store", ".env", "data.sqlite", "a\\b"]);
  expect(left[".env"]).toContain("variables");
});

test("no more than a version may have, and no more than a browser should send", () => {
  const many = found(Object.fromEntries(Array.from({ length: DROPPED_FILES_MAX + 1 }, (_, n) => [`${n}.txt`, ""])));
  expect(Object.keys(arrange(many).left)).toEqual([`${DROPPED_FILES_MAX}.txt`]);
  const large = new Map([["a.bin", new Uint8Array(DROPPED_BYTES_MAX)], ["b.bin", new Uint8Array(1)]]);
  expect(Object.keys(arrange(large).left)).toEqual(["b.bin"]);
});

test("bytes are text where they can be, and come back as they were", () => {
  expect(contentOf(bytes("ü\r\n"))).toBe("ü\r\n");
  for (const content of [Uint8Array.of(0, 1, 255), bytes("a\0b"), bytes("\ufeffx")]) expect(bytesOf(contentOf(content))).toEqual(content);
  expect(contentOf(Uint8Array.of(0, 1, 2))).toEqual({ base64: "AAEC" });
});
