// Which of many rows are in the page: a stretch of them, moved when its edge comes into sight.

export const ROWS_MAX = 400;
export const STEP = 150;

/** Numbers of rows: from `start` up to, not including, `end`. */
export interface Window { start: number; end: number }

/** The last rows. */
export function last(all: Window, most = ROWS_MAX): Window {
  return { start: Math.max(all.start, all.end - most), end: all.end };
}

/** The first rows. */
export function first(all: Window, most = ROWS_MAX): Window {
  return { start: all.start, end: Math.min(all.end, all.start + most) };
}

/** Some rows earlier; the same where there are none. */
export function earlier(now: Window, all: Window, step = STEP, most = ROWS_MAX): Window {
  const start = Math.max(all.start, now.start - step);
  return { start, end: Math.min(now.end, start + most) };
}

/** Some rows later; the same where there are none. */
export function later(now: Window, all: Window, step = STEP, most = ROWS_MAX): Window {
  const end = Math.min(all.end, now.end + step);
  return { start: Math.max(now.start, end - most), end };
}

/** What is left of a window when rows went. */
export function within(now: Window, all: Window): Window {
  const start = Math.min(Math.max(now.start, all.start), all.end);
  return { start, end: Math.max(start, Math.min(now.end, all.end)) };
}

/** Whether two windows have a row in common, so that one can be made of the other. */
export function overlap(a: Window, b: Window): boolean {
  return a.start < b.end && b.start < a.end;
}
