import { expect, test } from "bun:test";
import { Book, isGap, type Page } from "./book";
import type { Line } from "./line";

const line = (number: number): Line => ({ id: `1-${number}`, at: "", version: 1, source: "app", text: String(number) });
const lines = (from: number, to: number): Line[] => Array.from({ length: to - from }, (_, index) => line(from + index));
const page = (from: number, to: number, end = 100): Page => ({
  logs: lines(from, to), first: `1-${from}`, last: `1-${to}`, older: from > 0, newer: to < end, looked_bytes: 1,
});
const texts = (book: Book) => book.entries.map((entry) => (isGap(entry) ? `gap ${entry.missed}` : entry.text));

test("pages join at both ends", () => {
  const book = new Book();
  book.reset(page(40, 50));
  book.before(page(30, 40));
  book.after(page(50, 60));
  expect(texts(book)).toEqual(lines(30, 60).map(({ text }) => text));
  expect([book.first, book.last, book.older, book.newer]).toEqual(["1-30", "1-60", true, true]);
});

test("a number means the same entry while others come and go", () => {
  const book = new Book(20);
  book.reset(page(40, 50));
  const number = book.base + 3;
  book.before(page(35, 40));
  book.after(page(50, 58));
  expect((book.at(number) as Line).text).toBe("43");
});

test("what does not fit goes at the far end, and its place is known", () => {
  const book = new Book(10);
  book.reset(page(40, 50, 50));
  book.before(page(35, 40));
  expect(texts(book)).toEqual(lines(35, 45).map(({ text }) => text));
  expect([book.last, book.newer]).toEqual(["1-45", true]);
  book.after(page(45, 50, 50));
  expect(texts(book)).toEqual(lines(40, 50).map(({ text }) => text));
  expect([book.first, book.older, book.newer]).toEqual(["1-40", true, false]);
});

test("what comes follows the last line, and only without a hole between", () => {
  const book = new Book(10);
  book.reset(page(90, 100));
  expect(book.follow({ lines: lines(100, 103), next: "1-103", missed: 0, missed_from: "" })).toBe(true);
  expect(texts(book).slice(-3)).toEqual(["100", "101", "102"]);
  expect(book.follow({ lines: lines(110, 112), next: "1-112", missed: 7, missed_from: "1-103" })).toBe(true);
  expect(texts(book).slice(-3)).toEqual(["gap 7", "110", "111"]);
  book.hold("1-112");
  expect(book.follow({ lines: lines(112, 113), next: "1-113", missed: 0, missed_from: "" })).toBe(false);
  expect([book.last, book.newer, book.entries.length]).toEqual(["1-112", true, 10]);
});

test("a new page's entries have new numbers", () => {
  const book = new Book();
  book.reset(page(0, 5));
  const end = book.end;
  book.reset(page(50, 55));
  expect(book.base).toBe(end);
});
