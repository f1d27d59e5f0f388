// How values look, as steadyd/web/templates.py shows them.

/** A duration in milliseconds, for people. */
export function span(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Bytes, for people. */
export function size(count: number): string {
  let amount = count;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (amount < 1024) return unit === "B" || amount >= 10 ? `${Math.round(amount)} ${unit}` : `${amount.toFixed(1)} ${unit}`;
    amount /= 1024;
  }
  return `${amount.toFixed(1)} GiB`;
}

/** Text in which control and direction characters are shown, not obeyed. */
export function plain(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The time of day in the reader's zone, with milliseconds. */
export function clock(at: Date): string {
  const pad = (number: number, width = 2) => String(number).padStart(width, "0");
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}
