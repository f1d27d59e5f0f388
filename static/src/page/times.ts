// Times in the reader's own zone; the server wrote them in UTC.

import { all } from "../lib/dom";
import { clock } from "../lib/shown";

/** Show every `<time datetime>` below `root` in the reader's zone. */
export function localTimes(root: ParentNode): void {
  for (const element of all<HTMLTimeElement>("time[datetime]", root)) localTime(element);
}

/** Show one. `data-clock`: the time of day; `data-day`: the day only; `data-seconds`: seconds too. */
export function localTime(element: HTMLTimeElement): void {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const { clock: clockOnly, day, seconds } = element.dataset;
  const timeStyle = day !== undefined ? undefined : seconds !== undefined ? "medium" : "short";
  element.textContent = clockOnly !== undefined ? clock(at) : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle });
  element.title = at.toISOString();
}
