// What charts say of time, and where on them a time lies.

const pad = (number: number) => String(number).padStart(2, "0");

/** `14:05`. */
export function clockLabel(at: Date): string {
  return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

/** `26 Nov` where days are what changes, else `14:05`. */
export function axisLabel(at: Date, daily: boolean): string {
  return daily ? at.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : clockLabel(at);
}

/** `26 Nov 14:05`. */
export function momentLabel(at: Date): string {
  return `${axisLabel(at, true)} ${clockLabel(at)}`;
}

/** Seconds since 1970 at a share (0 to 1) of the way from `start` to `end`. */
export function timeAt(share: number, start: number, end: number): number {
  return start + Math.min(Math.max(share, 0), 1) * (end - start);
}

/** A time as an address says it, to the second. */
export function stamp(seconds: number): string {
  return new Date(Math.round(seconds) * 1000).toISOString().replace(".000Z", "Z");
}
