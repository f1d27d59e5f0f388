import { expect, test } from "bun:test";
import { findAll, PLACES_MAX } from "./finding";

const texts = { "b.ts": "one Two\r\n  two two", "a.ts": "a.b (two)" };

test("every place, with its line around it", () => {
  const { places, more } = findAll(texts, "two", false);
  expect(places.map(({ path, line, column }) => [path, line, column])).toEqual([["a.ts", 1, 6], ["b.ts", 1, 5], ["b.ts", 2, 3], ["b.ts", 2, 7]]);
  expect([places[0]!.before, places[0]!.hit, places[0]!.after, more]).toEqual(["a.b (", "two", ")", 0]);
});

test("case counts where it is said to, and signs are signs", () => {
  expect(findAll(texts, "Two", true).places.length).toBe(1);
  expect(findAll(texts, "a.b (", true).places.length).toBe(1);
  expect(findAll(texts, "", false).places).toEqual([]);
});

test("of too many the rest is counted", () => {
  const { places, more } = findAll({ "x.txt": "x ".repeat(PLACES_MAX + 7) }, "x", false);
  expect([places.length, more]).toEqual([PLACES_MAX, 7]);
});
