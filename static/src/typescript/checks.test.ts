import { expect, test } from "bun:test";
import { Checks, PAUSE_MS } from "./checks";

test("files are looked at one at a time, and a change begins anew after a pause", () => {
  const [seen, busy, pauses]: [string[], boolean[], number[]] = [[], [], []];
  let next: (() => void) | null = null;
  const clock = {
    after(then: () => void, ms: number) {
      pauses.push(ms);
      next = then;
      return () => (next = null);
    },
  };
  const step = () => next!();
  const checks = new Checks(clock, (path) => seen.push(path), (now) => busy.push(now));
  checks.begin(["a", "b", "c"]);
  step();
  checks.begin(["c", "a"], 0);
  step();
  step();
  expect([seen, busy, pauses]).toEqual([["a", "c", "a"], [true, false], [PAUSE_MS, 0, 0, 0]]);
  checks.begin([]);
  step();
  expect(busy).toEqual([true, false, true, false]);
});
