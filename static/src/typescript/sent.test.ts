import { expect, test } from "bun:test";
import { rawOffset, Sent, withLineFeeds } from "./sent";

test("the worker hears of what differs, once", () => {
  const sent = new Sent();
  sent.begin({ a: "1", b: "1", c: "1" });
  expect([...sent.differs({ a: "1", b: "2", d: "1" })]).toEqual([["c", null], ["b", "2"], ["d", "1"]]);
  expect(sent.differs({ a: "1", b: "2", d: "1" }).size).toBe(0);
});

test("an offset that counts ends of lines as one is found in the text as it is", () => {
  const text = "a\r\nb\nc\r\n\rd";
  expect(withLineFeeds(text)).toBe("a\nb\nc\n\nd");
  for (const letter of "abcd") expect(rawOffset(text, withLineFeeds(text).indexOf(letter))).toBe(text.indexOf(letter));
  expect(rawOffset(text, withLineFeeds(text).length)).toBe(text.length);
});
