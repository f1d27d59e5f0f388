import { expect, test } from "bun:test";
import { best, fit, RESULTS_MAX } from "./match";

test("letters in order fit, others do not", () => {
  expect(fit("idx", "index.ts")).not.toBeNull();
  expect(fit("xdi", "index.ts")).toBeNull();
  expect(fit("", "index.ts")).not.toBeNull();
});

test("the whole word before its letters, the shorter name before the longer", () => {
  const names = ["lib/deploy-log.ts", "Deploy", "Delete this file", "lib/d/e/p.ts"];
  expect(best("dep", names, (name) => name).slice(0, 2)).toEqual(["Deploy", "lib/deploy-log.ts"]);
  expect(best("", names, (name) => name)).toEqual(names);
});

test("there are only so many", () => {
  const names = Array.from({ length: RESULTS_MAX + 5 }, (_, n) => `file${n}.ts`);
  expect(best("file", names, (name) => name).length).toBe(RESULTS_MAX);
});
