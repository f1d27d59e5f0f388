// What the page and the worker say to each other. A question is a call of the worker's by name, and each is answered, so
// that a worker that hangs is noticed.

import type { Edit, Finding } from "./assistant";
import type { Completion, Detail, Edits, Hint, Place, Signature } from "./project";

/** Names offered at once; where there are more, each key asks again. */
export const COMPLETIONS_MAX = 500;

/** How the name of a script ends that is there and was not read: nobody knows what it has. */
export const UNREAD = ".unread";

export interface Calls {
  /** Fetch the types that every app has, and take the draft. Before everything else. */
  start(library: string, files: Record<string, string>): boolean;
  /** A file of the draft as it is now; null takes it away. */
  write(path: string, text: string | null): void;
  /** Fetch the types of the app's packages, and take them in the place of those before. Returns who was left out. */
  install(url: string): string[];
  complete(path: string, at: number): Completion[];
  detail(path: string, at: number, of: Pick<Completion, "label" | "source" | "data">): Detail | null;
  hover(path: string, at: number): Hint | null;
  signature(path: string, at: number): Signature | null;
  definition(path: string, at: number): Place | null;
  rename(path: string, at: number, name: string): Edits | string;
  format(path: string, text: string): Edit[];
}

export type Question = { [Name in keyof Calls]: { id: number; call: Name; words: Parameters<Calls[Name]> } }[keyof Calls];
export interface Answer { id: number; answer?: unknown; error?: string }
/** `found` replaces what was found in that file; `checking` is true until all files are looked at. */
export type News = { found: string; findings: Finding[] } | { checking: boolean };
