// Which requests are wanted, as the form says it: the same as steadyd/web/requests.py decides.

import type { Asked } from "../lib/stream";

export interface Filter { path?: string; status?: string; method?: string; slower_ms?: string; since?: string; until?: string }

/** The lowest and highest status that a filter means; null for any. */
export function statuses(text: string): [number, number] | null {
  if (text === "failed") return [400, 599];
  const found = /^([1-5])(xx|\d\d)$/.exec(text);
  if (!found) return null;
  const low = Number(found[1]) * 100;
  return found[2] === "xx" ? [low, low + 99] : [low + Number(found[2]), low + Number(found[2])];
}

/** Whether a request that has just ended is one of them. */
export function wants(filter: Filter, asked: Asked): boolean {
  const range = filter.status ? statuses(filter.status) : null;
  return (
    (!filter.status || (range !== null && asked.status >= range[0] && asked.status <= range[1])) &&
    (!filter.path || asked.path.includes(filter.path)) &&
    (!filter.method || asked.method === filter.method.toUpperCase()) &&
    (!filter.slower_ms || asked.total_us >= Number(filter.slower_ms) * 1000) &&
    (!filter.since || Date.parse(asked.at) >= Date.parse(filter.since)) &&
    !filter.until
  );
}

/** Where the time of a request went, in microseconds: what, and for how long. */
export function timing(asked: Asked, start: number | null): [name: string, us: number][] {
  const gate = Math.min(asked.gate_us, asked.total_us);
  const cold = Math.min(start ?? 0, gate);
  const parts: [string, number][] = [
    ["gate", gate - cold],
    ["start", cold],
    ["app", asked.app_us],
    ["answer", Math.max(0, asked.total_us - gate - asked.app_us)],
  ];
  return parts.filter(([, us]) => us > 0);
}
