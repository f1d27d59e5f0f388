import { expect, test } from "bun:test";
import { earlier, first, last, later, overlap, within } from "./window";

const all = { start: 100, end: 1100 };

test("a window is at an end, or moves by a step, and is never too large", () => {
  expect(last(all, 400)).toEqual({ start: 700, end: 1100 });
  expect(first(all, 400)).toEqual({ start: 100, end: 500 });
  expect(earlier({ start: 700, end: 1100 }, all, 150, 400)).toEqual({ start: 550, end: 950 });
  expect(later({ start: 550, end: 950 }, all, 150, 400)).toEqual({ start: 700, end: 1100 });
  expect(later({ start: 550, end: 700 }, all, 150, 400)).toEqual({ start: 550, end: 850 });
});

test("it stops at the ends", () => {
  expect(earlier({ start: 120, end: 520 }, all, 150, 400)).toEqual({ start: 100, end: 500 });
  expect(earlier({ start: 100, end: 500 }, all, 150, 400)).toEqual({ start: 100, end: 500 });
  expect(later({ start: 900, end: 1100 }, all, 150, 400)).toEqual({ start: 900, end: 1100 });
  expect(last({ start: 0, end: 3 }, 400)).toEqual({ start: 0, end: 3 });
});

test("rows that went are in no window", () => {
  expect(within({ start: 50, end: 300 }, all)).toEqual({ start: 100, end: 300 });
  expect(within({ start: 10, end: 60 }, all)).toEqual({ start: 100, end: 100 });
  expect(within({ start: 1000, end: 1400 }, all)).toEqual({ start: 1000, end: 1100 });
  expect([overlap({ start: 0, end: 5 }, { start: 4, end: 9 }), overlap({ start: 0, end: 5 }, { start: 5, end: 9 })]).toEqual([true, false]);
});
