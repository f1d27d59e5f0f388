// Lines of a log as they are shown below something else: bounded, and following the newest.

import { make } from "../lib/dom";
import { clock, plain } from "../lib/shown";
import type { Line } from "../watch/line";

/** Lines that the page keeps. */
const LINES_MAX = 500;

/** Add lines to a `role=log`; it stays at the end if it was there. */
export function addLines(log: HTMLElement, lines: Pick<Line, "at" | "source" | "text">[]): void {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  log.append(...lines.map(row));
  while (log.childElementCount > LINES_MAX) log.firstElementChild!.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function row(line: Pick<Line, "at" | "source" | "text">): HTMLElement {
  const at = make("time", { dateTime: line.at }, clock(new Date(line.at)));
  return make("p", { className: line.source === "app" ? "" : "ours" }, at, plain(line.text));
}
