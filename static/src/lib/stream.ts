// The one live stream of an app: state, log, requests, operations and events, whoever on the page wants which. Browsers
// open only six connections to one host, so a page has one of these, and whoever asks for an app's gets the same.
//
//   stream("hello").on("operation", (operation) => …)
//
// It goes on where it ended: after a broken connection, after a page was hidden, and when more is wanted of it.

import type { Line } from "../watch/line";

export interface State { state: string; sentence: string; version: number; memory_bytes: number; cpu_seconds: number; requests: number }
export interface Step { name: string; ms: number; ok: boolean }
export interface Operation {
  id: number;
  app: string;
  kind: string;
  by: string;
  status: "running" | "done" | "failed" | "cancelled" | "undone";
  step: string; // the last one that began
  steps: Step[]; // those that ended
  started_at: string;
  finished_at: string | null;
  ms: number | null;
  error: { code: string; message: string; details: Record<string, unknown> } | null;
}
export interface Asked {
  id: number;
  at: string;
  request_id: string;
  method: string;
  path: string;
  status: number;
  error: string;
  client: string;
  request_bytes: number;
  response_bytes: number;
  gate_us: number;
  app_us: number;
  total_us: number;
  version: number;
}
export interface Happening { at: string; kind: string; message: string; details: Record<string, unknown> }
export interface Told {
  state: State;
  log: { lines: Line[]; next: string; missed: number; missed_from: string; removed: boolean };
  request: { requests: Asked[]; missed: number };
  operation: Operation;
  event: Happening;
}
export type Kind = keyof Told;
export type Link = "live" | "connecting" | "reconnecting" | "paused";

type Listener<K extends Kind> = (item: Told[K]) => void;
/** Where the log and the requests go on, and which lines of the log are wanted. */
export interface Place { log?: string; requests?: string; q?: string; version?: string; source?: string }

const streams = new Map<string, Stream>();

/** The stream of an app. It opens with the first listener. */
export function stream(app: string): Stream {
  let found = streams.get(app);
  if (!found) streams.set(app, (found = new Stream(app)));
  return found;
}

export class Stream {
  link: Link = "connecting";
  private readonly listeners = new Map<Kind, Set<Listener<never>>>();
  private readonly watchers = new Set<(link: Link) => void>();
  private readonly place: Place = {};
  private source: EventSource | null = null;
  private planned = false;
  private last: Partial<Told> = {};

  constructor(private readonly app: string) {
    // A page nobody looks at needs no connection.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.plan()));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.plan());
  }

  /** Hear every item of a kind from now on; the last state at once. Returns what ends it. */
  on<K extends Kind>(kind: K, then: Listener<K>): () => void {
    let set = this.listeners.get(kind);
    if (!set) this.listeners.set(kind, (set = new Set()));
    set.add(then as Listener<never>);
    if (kind === "state" && this.last.state) then(this.last.state as Told[K]);
    if (set.size === 1) this.reopen();
    return () => {
      set.delete(then as Listener<never>);
      if (!set.size) this.listeners.delete(kind);
      if (!set.size) this.reopen();
    };
  }

  /** Hear how the connection is, now and whenever that changes. */
  watch(then: (link: Link) => void): () => void {
    this.watchers.add(then);
    then(this.link);
    return () => this.watchers.delete(then);
  }

  /** Go on from there, with these lines of the log. */
  from(place: Place): void {
    Object.assign(this.place, place);
    this.reopen();
  }

  private reopen(): void {
    this.source?.close();
    this.source = null;
    this.plan();
  }

  /** Open once all that is wanted just now was said. */
  private plan(): void {
    if (this.planned || this.source) return;
    this.planned = true;
    queueMicrotask(() => {
      this.planned = false;
      if (!this.source && this.listeners.size && !document.hidden) this.open();
    });
  }

  private open(): void {
    const query = new URLSearchParams({ only: [...this.listeners.keys()].join() });
    for (const [name, value] of Object.entries(this.place)) if (value) query.set(name, value);
    const source = (this.source = new EventSource(`/apps/${this.app}/live?${query}`));
    source.onopen = () => this.say("live");
    source.onerror = () => {
      this.say("reconnecting");
      // Refused, it does not try again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.source === source && this.reopen(), RETRY_MS);
    };
    for (const kind of this.listeners.keys()) {
      source.addEventListener(kind, (event) => {
        if (this.source === source) this.tell(kind, JSON.parse((event as MessageEvent<string>).data) as never);
      });
    }
  }

  private tell<K extends Kind>(kind: K, item: Told[K]): void {
    this.last[kind] = item;
    if (kind === "log") this.place.log = (item as Told["log"]).next;
    const asked = kind === "request" ? (item as Told["request"]).requests.at(-1) : undefined;
    if (asked) this.place.requests = String(asked.id);
    for (const then of [...(this.listeners.get(kind) ?? [])]) (then as Listener<K>)(item);
  }

  private close(): void {
    this.source?.close();
    this.source = null;
    this.say("paused");
  }

  private say(link: Link): void {
    this.link = link;
    for (const then of this.watchers) then(link);
  }
}

const RETRY_MS = 5_000;
