// Two changes of the same files, joined: what only one side changed is taken, texts are merged by lines where no changed
// lines touch, and the rest is a conflict for a person to decide. Pure.

import { diff } from "@codemirror/merge";
import type { Content } from "../lib/desk";

export type Files = Record<string, Content>;

/** Both sides changed one file in ways that do not go together. A side that lacks the file is null; `merged` is a
 * beginning for two texts: all that goes together, and mine where nothing does. */
export interface Clash { path: string; base: Content | null; theirs: Content | null; mine: Content | null; merged: string | null }

/** `files` are decided, `merged` names those of them to which both sides gave lines, `clashes` are to be decided. */
export interface Merged { files: Files; merged: string[]; clashes: Clash[] }

/** Different lines of one file that can be compared; a file of more is a conflict as a whole. */
export const DISTINCT_LINES_MAX = 50_000;
/** Changed lines in one stretch up to which the shortest difference is looked for, then a rougher one. */
export const SCAN_LINES_MAX = 2_000;

/** Join `theirs` and `mine`, which both began as `base`. */
export function merge(base: Files, theirs: Files, mine: Files): Merged {
  const result: Merged = { files: {}, merged: [], clashes: [] };
  for (const path of [...new Set([...Object.keys(theirs), ...Object.keys(mine)])].sort()) {
    const sides = [base[path] ?? null, theirs[path] ?? null, mine[path] ?? null] as const;
    const [was, other, own] = sides;
    if (same(own, was) || same(own, other)) take(result, path, other);
    else if (same(other, was)) take(result, path, own);
    else if (typeof other === "string" && typeof own === "string") both(result, path, was, other, own);
    else result.clashes.push({ path, base: was, theirs: other, mine: own, merged: null });
  }
  return result;
}

/** Whether two contents are equal. */
export function same(one: Content | null, other: Content | null): boolean {
  if (one === null || other === null || typeof one === "string" || typeof other === "string") return one === other;
  return one.base64 === other.base64;
}

/** The text with both changes; where they touch, mine stands and `clean` is false. */
export function mergeText(base: string, theirs: string, mine: string): { text: string; clean: boolean } {
  const [was, other, own] = [lines(base), lines(theirs), lines(mine)];
  const letters = spell(was, other, own);
  if (!letters) return { text: mine, clean: false };
  const out: string[] = [];
  let clean = true;
  let at = 0; // in the base
  for (const hunk of hunks(letters[0]!, letters[1]!, letters[2]!)) {
    out.push(...was.slice(at, hunk.from));
    const [ours, others] = [own.slice(...hunk.mine), other.slice(...hunk.theirs)];
    const unchanged = (side: string[]) => equal(side, was.slice(hunk.from, hunk.to));
    if (!unchanged(ours) && !unchanged(others) && !equal(ours, others)) clean = false;
    out.push(...(unchanged(ours) ? others : ours));
    at = hunk.to;
  }
  out.push(...was.slice(at));
  return { text: out.join(""), clean };
}

// Private

function take(result: Merged, path: string, content: Content | null): void {
  if (content !== null) result.files[path] = content;
}

function both(result: Merged, path: string, was: Content | null, theirs: string, mine: string): void {
  const { text, clean } = mergeText(typeof was === "string" ? was : "", theirs, mine);
  if (clean && typeof was === "string") {
    result.files[path] = text;
    result.merged.push(path);
  } else {
    result.clashes.push({ path, base: was, theirs, mine, merged: text });
  }
}

/** Lines with their ends, so that joined they are the text again. */
function lines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function equal(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((line, at) => line === other[at]);
}

/** Each text as a string of one letter for each line, so that what compares letters compares lines. */
function spell(...texts: string[][]): string[] | null {
  const letters = new Map<string, string>();
  for (const line of texts.flat()) if (!letters.has(line)) letters.set(line, String.fromCharCode(letters.size + 1));
  // Above are surrogates: halves of letters.
  return letters.size > DISTINCT_LINES_MAX ? null : texts.map((text) => text.map((line) => letters.get(line)).join(""));
}

interface Hunk { from: number; to: number; theirs: [number, number]; mine: [number, number] }
interface Change { from: number; to: number; by: number; mine: boolean }

/** Stretches of the base that either side changed. Changes that touch are one stretch. */
function hunks(base: string, theirs: string, mine: string): Hunk[] {
  const changes = [...changesOf(base, theirs, false), ...changesOf(base, mine, true)].sort((a, b) => a.from - b.from || a.to - b.to);
  const found: Hunk[] = [];
  const shift = { theirs: 0, mine: 0 }; // how much longer each side is, before the hunk
  for (let at = 0; at < changes.length; ) {
    const { from } = changes[at]!;
    let { to } = changes[at]!;
    const grown = { theirs: 0, mine: 0 };
    for (; at < changes.length && changes[at]!.from <= to; at++) {
      to = Math.max(to, changes[at]!.to);
      grown[changes[at]!.mine ? "mine" : "theirs"] += changes[at]!.by;
    }
    const span = (side: "theirs" | "mine"): [number, number] => [from + shift[side], to + shift[side] + grown[side]];
    found.push({ from, to, theirs: span("theirs"), mine: span("mine") });
    shift.theirs += grown.theirs;
    shift.mine += grown.mine;
  }
  return found;
}

function changesOf(base: string, side: string, mine: boolean): Change[] {
  return diff(base, side, { scanLimit: SCAN_LINES_MAX }).map((change) => ({
    from: change.fromA, to: change.toA, by: change.toB - change.fromB - (change.toA - change.fromA), mine,
  }));
}
