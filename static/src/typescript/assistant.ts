// What the editor and TypeScript know of each other. TypeScript comes after the page, in a worker; without it the editor
// is the same with less in it.

import type { Extension } from "@codemirror/state";
import type { Problem } from "../lib/desk";

/** Offsets count UTF-16 units of the text with line feeds only, as CodeMirror's do. */
export interface Edit { from: number; to: number; insert: string }

/** A mistake, or with "info" something to know. `from` and `to` are offsets. */
export interface Finding extends Problem { severity: "error" | "warning" | "info"; from: number; to: number }

/** What the assistant needs of the editor. */
export interface Draft {
  /** The app's name, "" where there is none yet, and the version whose installed packages count. */
  readonly app: string;
  version(): number;
  /** Every file of the draft as it is now with line feeds only, "" for one that is no text or not here yet. */
  texts(): Record<string, string>;
  /** Open a file of the draft there; lines and columns from 1. */
  show(path: string, line: number, column: number): void;
  /** Open a text that is none of the draft's, to be read only. */
  showText(name: string, text: string, line: number): void;
  /** Change a file of the draft, whether it is open or not; the edits do not overlap. */
  edit(path: string, edits: Edit[]): void;
}

export interface Assistant {
  /** For the editor of one file: completion, hover, marks, definition, another name. Nothing where the file is no script. */
  extension(path: string): Extension;
  /** Something of the draft changed. */
  changed(): void;
  /** Another version is live: other packages may be installed. */
  deployed(): void;
  /** The file's text, formatted; null where it is none that can be. */
  format(path: string, text: string): Promise<Edit[] | null>;
  /** What was found, by path; a path without findings is not there. */
  findings(): Map<string, Finding[]>;
  /** Called when findings changed. */
  onFindings(then: () => void): void;
  /** Where it stands, a count, a list of problems and a button to start again: for the editor's status line. */
  readonly status: HTMLElement;
}
