// The draft of an app: its files as they are being edited, against the version they were loaded from. No page, no
// network: what is not loaded yet is only known by its size.

import type { Changes, Content } from "../lib/desk";
import { collision, problemOf } from "./paths";

/** A file that was not loaded: the server has it, as `from` in that version, of the page's app or of the one that `of`
 * names. */
export interface Absent { from: string; version: number; size: number; of?: string }
export type Held = Content | Absent;

/** What a draft is made of again. */
export interface Draft { version: number; changes: Changes; open: string[]; active: string }

/** A rename or a new file that cannot be; the message says why. */
export class PathError extends Error {}

/** A file that the draft lacks. */
const LACKING = "there is no such file";

export const isAbsent = (held: Held | undefined): held is Absent => typeof held === "object" && "from" in held;
export const isText = (held: Held | undefined): held is string => typeof held === "string";

/** Bytes of a file, as near as its form says without decoding it. */
export function sizeOf(held: Held): number {
  if (isText(held)) return new TextEncoder().encode(held).length;
  return isAbsent(held) ? held.size : Math.floor((held.base64.length * 3) / 4) - (held.base64.match(/=*$/)?.[0].length ?? 0);
}

function same(a: Held | undefined, b: Held | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || isText(a) || isText(b)) return false;
  if (isAbsent(a) || isAbsent(b)) return isAbsent(a) && isAbsent(b) && a.from === b.from;
  return a.base64 === b.base64;
}

export class Workspace {
  /** Paths of open files, in the order of their tabs. */
  open: string[] = [];
  /** The open file that is shown; "" with none. */
  active = "";
  private files: Map<string, Held>;

  /** `base` is version `version` of the app; 0 and nothing where there is none yet. */
  constructor(public version: number, private base: ReadonlyMap<string, Held>) {
    this.files = new Map(base);
  }

  /** Every path of the draft, in order. */
  paths(): string[] {
    return [...this.files.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  read(path: string): Held | undefined {
    return this.files.get(path);
  }

  /** The file as it is in the base version. */
  original(path: string): Held | undefined {
    return this.base.get(path);
  }

  /** All of the base version. */
  originals(): ReadonlyMap<string, Held> {
    return this.base;
  }

  has(path: string): boolean {
    return this.files.has(path);
  }

  /** A file that the server had arrived: base and draft know it now. */
  loaded(path: string, content: Content): void {
    const held = this.files.get(path);
    if (!isAbsent(held)) return;
    if (same(this.base.get(path), held)) this.base = new Map(this.base).set(path, content);
    this.files.set(path, content);
  }

  /** Change a file that is there. */
  write(path: string, content: Content): void {
    if (!this.files.has(path)) throw new PathError(`“${path}”: ${LACKING}.`);
    this.files.set(path, content);
  }

  /** Why there can be no new file at `path`; "" if there can. `instead` is what it takes the place of. */
  refusal(path: string, instead: string[] = []): string {
    const problem = problemOf(path);
    if (problem) return `“${path.slice(0, 80)}” cannot be a file's path: ${problem}.`;
    const others = [...this.files.keys()].filter((other) => !instead.includes(other));
    const clash = collision(path, others);
    return clash && `${clash}.`;
  }

  /** Add a file. Throws PathError. */
  create(path: string, content: Content): void {
    const refused = this.refusal(path);
    if (refused) throw new PathError(refused);
    this.files.set(path, content);
  }

  /** Files from outside: new ones are added, those that are there change. Returns the paths with no place, and why. */
  take(files: Record<string, Content>): Record<string, string> {
    const refused: Record<string, string> = {};
    for (const [path, content] of Object.entries(files)) {
      const why = this.has(path) ? "" : this.refusal(path);
      if (why) refused[path] = why;
      else this.files.set(path, content);
    }
    return refused;
  }

  /** Paths in the folder `path`, or the file itself. */
  within(path: string): string[] {
    return this.paths().filter((other) => other === path || other.startsWith(`${path}/`));
  }

  /** Move a file, or a folder with all that is in it; all or nothing. Throws PathError. Returns old → new path. */
  rename(from: string, to: string): Map<string, string> {
    const moved = new Map(this.within(from).map((path) => [path, to + path.slice(from.length)]));
    if (!moved.size) throw new PathError(`“${from}”: ${LACKING}.`);
    if (from === to) return new Map();
    for (const path of moved.values()) {
      const refused = this.refusal(path, [...moved.keys()]);
      if (refused) throw new PathError(refused);
    }
    const contents = [...moved].map(([before, after]): [string, Held] => [after, this.files.get(before)!]);
    for (const path of moved.keys()) this.files.delete(path);
    for (const [path, content] of contents) this.files.set(path, content);
    this.open = this.open.map((path) => moved.get(path) ?? path);
    this.active = moved.get(this.active) ?? this.active;
    return moved;
  }

  /** Delete a file, or a folder with all that is in it. */
  remove(path: string): string[] {
    const gone = this.within(path);
    for (const each of gone) {
      this.files.delete(each);
      this.close(each);
    }
    return gone;
  }

  /** Undo a deletion. */
  putBack(path: string, held: Held): void {
    if (!this.files.has(path)) this.files.set(path, held);
  }

  /** Take back what was changed of a file. */
  revert(path: string): void {
    const held = this.base.get(path);
    if (held === undefined) this.remove(path);
    else this.files.set(path, held);
  }

  show(path: string): void {
    if (!this.files.has(path)) return;
    if (!this.open.includes(path)) this.open.splice(this.open.indexOf(this.active) + 1, 0, path);
    this.active = path;
  }

  /** Close a tab; its neighbour is shown instead. */
  close(path: string): void {
    const at = this.open.indexOf(path);
    if (at < 0) return;
    this.open.splice(at, 1);
    if (this.active === path) this.active = this.open[Math.min(at, this.open.length - 1)] ?? "";
  }

  /** Put a tab at another place among the open ones. */
  reorder(path: string, to: number): void {
    const at = this.open.indexOf(path);
    if (at < 0) return;
    this.open.splice(at, 1);
    this.open.splice(Math.max(0, Math.min(to, this.open.length)), 0, path);
  }

  isDirty(path: string): boolean {
    return !same(this.files.get(path), this.base.get(path));
  }

  /** Paths that differ from the base: changed, new and deleted ones. */
  dirty(): string[] {
    return [...new Set([...this.base.keys(), ...this.files.keys()])].filter((path) => this.isDirty(path)).sort();
  }

  /** What differs, as a deploy sends it. What was moved must have been loaded. */
  changes(): Changes {
    const changes: Changes = {};
    for (const path of this.dirty()) {
      const held = this.files.get(path);
      if (isAbsent(held)) throw new PathError(`“${path}” is not loaded yet.`);
      changes[path] = held ?? null;
    }
    return changes;
  }

  /** The changes are a version now: what was sent is the base. What was typed since stays a change. */
  deployed(version: number, sent: Changes): void {
    const base = new Map(this.base);
    for (const [path, content] of Object.entries(sent)) {
      if (content === null) base.delete(path);
      else base.set(path, content);
    }
    this.version = version;
    this.base = base;
  }

  /** Another version below the same draft: `mine` is all of it, or its changes are kept as they are. */
  rebase(version: number, base: ReadonlyMap<string, Held>, mine?: Record<string, Content>): void {
    const changes = mine ? null : this.changes();
    this.version = version;
    this.base = new Map(base);
    this.files = mine ? new Map(Object.entries(mine)) : new Map(base);
    if (changes) this.apply(changes);
    this.tidyTabs();
  }

  draft(): Draft {
    return { version: this.version, changes: this.changes(), open: [...this.open], active: this.active };
  }

  /** Put a draft over the base. */
  restore(draft: Draft): void {
    this.apply(draft.changes);
    this.open = [...draft.open];
    this.active = draft.active;
    this.tidyTabs();
  }

  private apply(changes: Changes): void {
    for (const [path, content] of Object.entries(changes)) {
      if (content === null) this.files.delete(path);
      else this.files.set(path, content);
    }
  }

  private tidyTabs(): void {
    this.open = this.open.filter((path) => this.files.has(path));
    if (!this.files.has(this.active)) this.active = this.open[0] ?? "";
  }
}
