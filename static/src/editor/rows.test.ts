import { expect, test } from "bun:test";
import { rowsOf } from "./rows";

const paths = ["index.ts", "lib/a.ts", "lib/deep/b.ts", "assets/logo.png", "README.md"];
const shown = (closed: string[]) => rowsOf(paths, new Set(closed)).map(({ path, depth, isFolder }) => `${" ".repeat(depth)}${path}${isFolder ? "/" : ""}`);

test("folders come first, with what is in them", () => {
  expect(shown([])).toEqual([
    "assets/", " assets/logo.png", "lib/", " lib/deep/", "  lib/deep/b.ts", " lib/a.ts", "README.md", "index.ts",
  ]);
});

test("a closed folder hides all that is in it", () => {
  expect(shown(["lib", "assets"])).toEqual(["assets/", "lib/", "README.md", "index.ts"]);
  expect(shown(["lib/deep"])).toContain(" lib/a.ts");
});
