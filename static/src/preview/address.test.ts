import { expect, test } from "bun:test";
import { address, path, problems } from "./address";

const ORIGIN = "http://0abc.localhost:8080";

test("a frame goes to the origin it is for, and to no other", () => {
  for (const [typed, gone] of [
    ["", "/"], ["/", "/"], ["a/b?c=1#d", "/a/b?c=1#d"], ["/a b", "/a%20b"], ["//evil.test/x", "/evil.test/x"],
    ["\\\\evil.test", "/evil.test"], ["https://evil.test/x?y", "/x?y"], [`${ORIGIN}/here`, "/here"],
    ["javascript:alert(1)", "/javascript:alert(1)"], ["/../x", "/x"], ["http://", "/http://"],
  ] as const) {
    expect(address(ORIGIN, typed)).toBe(ORIGIN + gone);
  }
  expect(path(`${ORIGIN}/a?b#c`)).toBe("/a?b#c");
});

test("an error with a place marks it", () => {
  expect(problems({ file: "index.ts", line: 2, column: 9 }, "no")).toEqual([{ path: "index.ts", line: 2, column: 9, message: "no" }]);
  expect(problems({ file: "index.ts", line: 2 }, "no")[0]!.column).toBe(1);
  expect(problems({ reason: "x", line: 3 }, "no")).toEqual([]);
});
