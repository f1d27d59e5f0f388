import { expect, test } from "bun:test";
import { axisLabel, momentLabel, stamp, timeAt } from "./words";

test("a mark of time says the day where days are what changes", () => {
  const at = new Date(2026, 10, 6, 4, 5);
  expect([axisLabel(at, false), axisLabel(at, true), momentLabel(at)]).toEqual(["04:05", "6 Nov", "6 Nov 04:05"]);
});

test("a place becomes a time within the range", () => {
  expect([timeAt(0.5, 100, 200), timeAt(-1, 100, 200), timeAt(2, 100, 200)]).toEqual([150, 100, 200]);
  expect(stamp(1_800_000_000.4)).toBe("2027-01-15T08:00:00Z");
});
