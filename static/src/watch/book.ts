// What a viewer holds of a log: a stretch of lines without a hole, with where it goes on at both ends. It is bounded: what
// does not fit is let go of at the far end, and can be had again by its place.

import type { Line } from "./line";

export const LINES_MAX = 20_000;

/** A page of the log, as the API answers it. */
export interface Page { logs: Line[]; first: string; last: string; older: boolean; newer: boolean; looked_bytes: number }

/** Lines that came too fast to be told, from there on. */
export interface Gap { id: string; missed: number }
export type Entry = Line | Gap;

export const isGap = (entry: Entry): entry is Gap => "missed" in entry;

export class Book {
  entries: Entry[] = [];
  /** The number of the first entry: numbers stay while entries come and go at both ends. */
  base = 0;
  /** Where older and newer lines go on, and whether there are any. */
  first = "";
  last = "";
  older = false;
  newer = false;

  constructor(private readonly most = LINES_MAX) {}

  get end(): number {
    return this.base + this.entries.length;
  }

  at(number: number): Entry {
    return this.entries[number - this.base]!;
  }

  reset(page: Page): void {
    this.base = this.end; // nobody mistakes a new entry for an old one
    this.entries = [...page.logs];
    ({ first: this.first, last: this.last, older: this.older, newer: this.newer } = page);
  }

  /** Older lines, before the first. The newest go where there are too many. */
  before(page: Page): void {
    this.entries = [...page.logs, ...this.entries];
    this.base -= page.logs.length;
    [this.first, this.older] = [page.first, page.older];
    const over = this.entries.length - this.most;
    if (over <= 0) return;
    [this.last, this.newer] = [this.entries.at(-over)!.id, true];
    this.entries.length = this.most;
  }

  /** Newer lines, after the last. The oldest go where there are too many. */
  after(page: Page): void {
    this.add(page.logs);
    [this.last, this.newer] = [page.last, page.newer];
  }

  /** Lines that were told live: they follow the last, unless there is a hole between. Returns whether they were taken. */
  follow(told: { lines: Line[]; next: string; missed: number; missed_from: string }): boolean {
    if (this.newer) return false;
    this.add(told.missed ? [{ id: told.missed_from, missed: told.missed }, ...told.lines] : told.lines);
    this.last = told.next;
    return true;
  }

  /** Keep what is there, and let what comes wait in the log, from `id` on. */
  hold(id: string): void {
    [this.last, this.newer] = [id, true];
  }

  private add(entries: Entry[]): void {
    this.entries.push(...entries);
    const over = this.entries.length - this.most;
    if (over <= 0) return;
    this.entries.splice(0, over);
    this.base += over;
    [this.first, this.older] = [this.entries[0]!.id, true];
  }
}
