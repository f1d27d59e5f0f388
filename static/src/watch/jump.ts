// From a request to the log at its time, from one pane to another.

let wanted = "";
const listeners = new Set<(at: string) => void>();

/** Have the log shown from there on, an ISO time: now, or once its pane is there. */
export function jump(at: string): void {
  wanted = at;
  document.querySelector<HTMLElement>("#pane-tab-logs")?.click();
  for (const then of listeners) then(at);
}

/** Hear of it. Returns where the log is to begin, "" for nowhere in particular. */
export function onJump(then: (at: string) => void): string {
  listeners.add(then);
  return wanted;
}
