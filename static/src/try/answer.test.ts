import { expect, test } from "bun:test";
import { text } from "./answer";

test("JSON is shown with its structure, and what is none as it is", () => {
  expect(text('{"a":[1]}', "application/json")).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(text('{"a":1}', "application/problem+json")).toContain('\n  "a": 1');
  expect(text("{no", "application/json")).toBe("{no");
  expect(text('{"a":1}', "text/plain")).toBe('{"a":1}');
});

test("what would be obeyed is shown, and a long text is cut", () => {
  expect(text("a\u001b[0m", "text/plain")).toBe("a\\u001b[0m");
  expect(text("x".repeat(300_000), "").length).toBeLessThan(210_000);
});
