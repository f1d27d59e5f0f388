import { expect, test } from "bun:test";
import { codeOf } from "./linked";

test("code comes out of a link as it went in", () => {
  const code = "export default { fetch: () => new Response('100 % + ü #') }\n";
  expect(codeOf(`#code=${encodeURIComponent(code)}`)).toBe(code);
  expect(codeOf("#code=a%0D%0Ab")).toBe("a\nb");
  expect(codeOf("#code=")).toBe("");
});

test("no code, and code that is damaged", () => {
  expect([codeOf(""), codeOf("#limits"), codeOf("#xcode=1")]).toEqual([null, null, null]);
  expect(codeOf("#code=%E0%A4%A")).toBeUndefined();
});
