import { expect, test } from "bun:test";
import { DISTINCT_LINES_MAX, merge, mergeText } from "./merge";

const text = (...lines: string[]) => lines.map((line) => `${line}\n`).join("");

test("what only one side changed is taken, also that a file is gone", () => {
  const base = { a: "1", b: "1", gone: "1", left: "1" };
  const done = merge(base, { a: "2", b: "1", left: "1", fresh: "x" }, { a: "1", b: "3", gone: "1", own: { base64: "AA==" } });
  expect(done).toEqual({ files: { a: "2", b: "3", fresh: "x", own: { base64: "AA==" } }, merged: [], clashes: [] });
});

test("the same change on both sides is one change", () => {
  expect(merge({ a: "1" }, { a: "2", b: "n" }, { a: "2", b: "n" })).toEqual({ files: { a: "2", b: "n" }, merged: [], clashes: [] });
});

test("changed lines that do not touch are merged", () => {
  const base = text("a", "b", "c", "d", "e");
  const done = merge({ f: base }, { f: text("A", "b", "c", "d", "e") }, { f: text("a", "b", "c", "d", "E", "new") });
  expect(done).toEqual({ files: { f: text("A", "b", "c", "d", "E", "new") }, merged: ["f"], clashes: [] });
});

test("lines that both changed, or that touch, are a conflict, and mine stands there", () => {
  expect(mergeText(text("a", "b", "c"), text("a", "T", "c"), text("a", "M", "c"))).toEqual({ text: text("a", "M", "c"), clean: false });
  expect(mergeText(text("a", "b", "c"), text("T", "b", "c"), text("a", "M", "c")).clean).toBe(false);
  expect(mergeText("a", "a\nT\n", "a\nM\n").clean).toBe(false);
});

test("a change against a deletion, a binary file, and two new files are conflicts", () => {
  const clashes = merge(
    { cut: "1", logo: { base64: "AA==" } },
    { logo: { base64: "AQ==" }, fresh: "theirs" },
    { cut: "2", logo: { base64: "Ag==" }, fresh: "mine" },
  ).clashes;
  expect(clashes.map(({ path, merged }) => [path, merged])).toEqual([["cut", null], ["fresh", "mine"], ["logo", null]]);
});

test("a file of too many different lines is a conflict as a whole", () => {
  const base = Array.from({ length: DISTINCT_LINES_MAX + 1 }, (_, at) => `${at}\n`).join("");
  expect(mergeText(base, `${base}theirs\n`, `mine\n${base}`)).toEqual({ text: `mine\n${base}`, clean: false });
});

/** A small generator with a seed, so that a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function edited(lines: string[], pick: (below: number) => number, word: string, lo: number, hi: number): string[] {
  const out = [...lines];
  for (let times = pick(4); times > 0; times--) {
    const at = lo + pick(Math.max(1, Math.min(hi, out.length) - lo));
    out.splice(at, pick(2), ...Array.from({ length: pick(3) }, () => `${word}${pick(3)}`));
  }
  return out;
}

test("random: a side that changed nothing is no obstacle, sides may be swapped, and no line comes from nowhere", () => {
  for (let seed = 1; seed <= 2000; seed++) {
    const pick = random(seed);
    const base = Array.from({ length: pick(20) }, () => `line${pick(6)}`);
    const [theirs, mine] = [edited(base, pick, "t", 0, 99), edited(base, pick, "m", 0, 99)].map((side) => text(...side)) as [string, string];
    const was = text(...base);
    expect(mergeText(was, theirs, was)).toEqual({ text: theirs, clean: true });
    expect(mergeText(was, was, mine)).toEqual({ text: mine, clean: true });
    expect(mergeText(was, mine, mine)).toEqual({ text: mine, clean: true });
    const [one, other] = [mergeText(was, theirs, mine), mergeText(was, mine, theirs)];
    expect(one.clean).toBe(other.clean);
    if (one.clean) expect(one.text).toBe(other.text);
    const known = new Set([...was.split("\n"), ...theirs.split("\n"), ...mine.split("\n")]);
    for (const line of one.text.split("\n")) expect(known.has(line)).toBe(true);
  }
});

test("random: changes in different halves are both there", () => {
  for (let seed = 1; seed <= 1000; seed++) {
    const pick = random(seed);
    const [upper, lower] = [0, 1].map((half) => Array.from({ length: 5 + pick(10) }, (_, at) => `${half}-${at}`)) as [string[], string[]];
    const middle = ["middle 1", "middle 2"];
    const [above, below] = [edited(upper, pick, "t", 0, 5), edited(lower, pick, "m", 0, 5)];
    const done = mergeText(
      text(...upper, ...middle, ...lower), text(...above, ...middle, ...lower), text(...upper, ...middle, ...below),
    );
    expect(done).toEqual({ text: text(...above, ...middle, ...below), clean: true });
  }
});
