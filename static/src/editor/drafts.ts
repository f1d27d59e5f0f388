// What was typed and not deployed, kept by this browser: it survives a reload and a crash. Each tab has a draft of its
// own, so two tabs of one app overwrite nothing of each other's.

import type { Changes } from "../lib/desk";
import type { Draft } from "./workspace";

/** Characters of one draft, as it is stored. Files are left out of a larger one, the largest first, and it says which. */
export const DRAFT_CHARS_MAX = 1_000_000;
/** Drafts kept by one browser, for all apps; the oldest goes. */
export const DRAFTS_MAX = 20;

const PREFIX = "steadyd.draft.";

/** A draft as it is kept. `at`: milliseconds since 1970. `left` are changed files that were too large to keep. */
export interface Kept extends Draft { app: string; at: number; left: string[] }

/** The part of the browser's Storage that is used. */
export type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">;

/** Drafts in a browser's storage; "" is the app of the home page. */
export class Drafts {
  constructor(private shelf: Shelf) {}

  /** Keep `draft` as the one of this tab; without changes there is none. Returns the paths that were too large, or null
   * where the browser keeps nothing. */
  keep(app: string, tab: string, draft: Draft, now: number): string[] | null {
    if (!Object.keys(draft.changes).length) {
      this.drop(app, tab);
      return [];
    }
    const kept = bounded({ ...draft, app, at: now, left: [] });
    const others = this.all().filter(({ key }) => key !== keyOf(app, tab));
    for (const { key } of others.slice(0, Math.max(0, others.length + 1 - DRAFTS_MAX))) this.shelf.removeItem(key);
    const text = JSON.stringify(kept);
    // The browser's own bound may be lower than ours: old drafts make room for this one.
    for (const { key } of [...others, null].map((other) => other ?? { key: "" })) {
      try {
        this.shelf.setItem(keyOf(app, tab), text);
        return kept.left;
      } catch {
        if (key) this.shelf.removeItem(key);
      }
    }
    return null;
  }

  drop(app: string, tab: string): void {
    this.shelf.removeItem(keyOf(app, tab));
  }

  /** The drafts of an app with their tabs, the newest first. */
  of(app: string): { tab: string; draft: Kept }[] {
    return this.all()
      .filter(({ draft }) => draft.app === app)
      .map(({ key, draft }) => ({ tab: key.slice(keyOf(app, "").length), draft }))
      .reverse();
  }

  private all(): { key: string; draft: Kept }[] {
    const keys = Array.from({ length: this.shelf.length }, (_, at) => this.shelf.key(at) ?? "");
    return keys
      .filter((key) => key.startsWith(PREFIX))
      .map((key) => ({ key, draft: parse(this.shelf.getItem(key)) }))
      .filter((found): found is { key: string; draft: Kept } => found.draft !== null)
      .sort((a, b) => a.draft.at - b.draft.at);
  }
}

/** A name for this tab that no other one has: the one of the session's storage, unless another tab holds it, as one
 * does that was duplicated. `locks` is undefined where the browser has none (plain http). */
export async function tabName(session: Shelf, locks: LockManager | undefined): Promise<string> {
  for (let name = session.getItem("steadyd.tab"); ; name = null) {
    const tried = name ?? Math.random().toString(36).slice(2, 10);
    if (await holds(tried, locks)) {
      session.setItem("steadyd.tab", tried);
      return tried;
    }
  }
}

/** Whether another tab that is open now has that name. */
export async function isOpen(tab: string, locks: LockManager | undefined): Promise<boolean> {
  const held = (await locks?.query())?.held ?? [];
  return held.some((lock) => lock.name === lockName(tab));
}

// Private

const keyOf = (app: string, tab: string): string => `${PREFIX}${app}.${tab}`;
const lockName = (tab: string): string => `steadyd.tab.${tab}`;

/** Hold the name for as long as the page is there. */
function holds(tab: string, locks: LockManager | undefined): Promise<boolean> {
  if (!locks) return Promise.resolve(true);
  return new Promise((answer) => {
    void locks.request(lockName(tab), { ifAvailable: true }, (lock) => {
      answer(lock !== null);
      return lock ? new Promise(() => undefined) : undefined;
    });
  });
}

function bounded(draft: Kept): Kept {
  const changes: Changes = { ...draft.changes };
  const left: string[] = [];
  const weight = ([, content]: [string, Changes[string]]) => JSON.stringify(content).length;
  while (JSON.stringify(changes).length > DRAFT_CHARS_MAX) {
    const [largest] = Object.entries(changes).reduce((a, b) => (weight(b) > weight(a) ? b : a));
    delete changes[largest];
    left.push(largest);
  }
  return { ...draft, changes, left };
}

function parse(text: string | null): Kept | null {
  try {
    const kept = JSON.parse(text ?? "") as Kept;
    return typeof kept.at === "number" && typeof kept.changes === "object" && Array.isArray(kept.open) ? kept : null;
  } catch {
    return null;
  }
}
