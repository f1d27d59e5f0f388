import { expect, test } from "bun:test";
import { clock, plain, size, span } from "./shown";

test("durations and amounts are shown as the server shows them", () => {
  expect([span(1.234), span(9.99), span(12.6), span(9_999), span(12_345)]).toEqual(["1.2 ms", "10.0 ms", "13 ms", "9999 ms", "12.3 s"]);
  expect([size(0), size(1023), size(1536), size(20 << 20), size(3 * 2 ** 30)]).toEqual(["0 B", "1023 B", "1.5 KiB", "20 MiB", "3.0 GiB"]);
});

test("what would be obeyed is shown", () => {
  expect(plain("a\u001b[31m\u202eb\n\tc")).toBe("a\\u001b[31m\\u202eb\n\tc");
});

test("a time of day has milliseconds", () => {
  expect(clock(new Date(2026, 0, 2, 3, 4, 5, 6))).toBe("03:04:05.006");
});
