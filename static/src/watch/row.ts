// One line of the log as an element.

import { make } from "../lib/dom";
import { clock } from "../lib/shown";
import { spans } from "./ansi";
import { isGap, type Entry } from "./book";
import type { Line } from "./line";

export interface Manner { utc: boolean; marked: string }

/** The element of an entry. Where lines are missing it is a button; what it does is the viewer's business. */
export function row(entry: Entry, manner: Manner): HTMLElement {
  if (isGap(entry)) {
    const words = `${entry.missed.toLocaleString()} lines came too fast to be shown here. Read them`;
    return make("p", { className: "gap" }, make("button", { type: "button", className: "plain", data: { gap: entry.id } }, words));
  }
  const time = make("time", { dateTime: entry.at, title: entry.at }, timeOfDay(entry.at, manner.utc));
  const made = make("p", { className: entry.source === "app" ? "" : "ours", data: { version: `v${entry.version}` } }, time);
  for (const { text, classes } of spans(entry.text)) {
    for (const [piece, hit] of parts(text, manner.marked)) {
      made.append(classes || hit ? make(hit ? "mark" : "span", { className: classes }, piece) : piece);
    }
  }
  return made;
}

/** The time of day, in the reader's zone or in UTC. */
export function timeOfDay(at: string, utc: boolean): string {
  return utc ? at.slice(11, 23).replace("Z", "") : clock(new Date(at));
}

/** Lines as they would be in a file. */
export function plainText(entries: Entry[]): string {
  const lines = entries.filter((entry): entry is Line => !isGap(entry));
  return lines.map((line) => `${line.at} v${line.version} ${line.source === "app" ? "|" : "#"} ${line.text}\n`).join("");
}

// A text cut where the words that were searched for begin and end.
function* parts(text: string, words: string): Generator<[string, boolean]> {
  let at = 0;
  for (let hit = words ? text.indexOf(words) : -1; hit >= 0; hit = text.indexOf(words, at)) {
    if (hit > at) yield [text.slice(at, hit), false];
    yield [words, true];
    at = hit + words.length;
  }
  if (at < text.length) yield [text.slice(at), false];
}
