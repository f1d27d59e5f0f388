// What the Code page's parts know of one another: the editor is the desk, and panes lie on it.

/** A file: its text, or its bytes where it is no text. */
export type Content = string | { base64: string };

/** What differs, as the API's merge body: null deletes. */
export type Changes = Record<string, Content | null>;

/** A mistake in a file. Lines and columns count from 1. */
export interface Problem { path: string; line: number; column: number; message: string }

export interface Desk {
  /** The app's name; "" on the home page, where there is no app yet. */
  readonly app: string;
  /** The app's origin. */
  readonly url: string;
  /** The live version as last heard. */
  version(): number;
  /** The whole draft. */
  files(): Promise<Record<string, Content>>;
  /** What differs from the version that it was loaded from. */
  changes(): Changes;
  /** Open the file there. */
  show(path: string, line?: number, column?: number): void;
  /** Marks of a deploy or a preview that failed. */
  mark(problems: Problem[]): void;
  /** "preview": Ctrl/Cmd-Enter was pressed. */
  on(what: "deployed" | "changed" | "preview", then: () => void): void;
}

/** The default export of `src/panes/NAME.ts`: fill `box`, once. */
export type Pane = (box: HTMLElement, desk: Desk) => void;
