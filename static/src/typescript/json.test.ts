import { expect, test } from "bun:test";
import { formatJson } from "./json";

test("JSON has its usual form, and what is none stays", () => {
  expect(formatJson('{"a":[1]}')).toEqual([{ from: 0, to: 9, insert: '{\n  "a": [\n    1\n  ]\n}\n' }]);
  expect(formatJson('{\n  "a": 1\n}\n')).toEqual([]);
  expect(formatJson('{ "a": 1, // why\n }')).toBeNull();
});
