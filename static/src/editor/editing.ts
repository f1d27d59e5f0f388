// The desk itself: the draft, the editor that shows a file of it, and whoever wants to hear of either.

import type { Extension } from "@codemirror/state";
import type { Changes, Content, Desk, Problem } from "../lib/desk";
import { load, loaded } from "./loading";
import { CodeView, type Edit } from "./view";
import { type Held, isAbsent, isText, sizeOf, Workspace } from "./workspace";

/** Text of a file that is edited here; a larger one is shown as bytes are. */
export const EDITED_BYTES_MAX = 2 << 20;

type News = "deployed" | "changed" | "preview" | "shown" | "files" | "cursor";

export class Editing implements Desk {
  readonly view: CodeView;
  /** Where a deploy or a preview failed, by path. */
  problems = new Map<string, Problem[]>();
  /** How many mistakes TypeScript finds in a file, by path; nothing where there is none. */
  mistakes: ReadonlyMap<string, number> = new Map();
  /** Formats a file, once TypeScript is there. */
  format: (path: string) => void = () => undefined;
  /** Where the cursor is, and how much is selected. */
  cursor = { line: 1, column: 1, selected: 0 };
  private readonly heard: Record<News, (() => void)[]> = { deployed: [], changed: [], preview: [], shown: [], files: [], cursor: [] };

  constructor(readonly app: string, readonly url: string, readonly workspace: Workspace, host: HTMLElement, keys: Extension) {
    const hooks = {
      changed: (path: string, text: string) => this.typed(path, text),
      cursor: (line: number, column: number, selected: number) => {
        this.cursor = { line, column, selected };
        this.tell("cursor");
      },
    };
    this.view = new CodeView(host, hooks, keys);
  }

  version(): number {
    return this.workspace.version;
  }

  files(): Promise<Record<string, Content>> {
    const held = this.workspace.paths().map((path): [string, Held] => [path, this.workspace.read(path)!]);
    return loaded(this.app, new Map(held));
  }

  changes(): Changes {
    return this.workspace.changes();
  }

  /** Every text of the draft that is here. */
  texts(): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const path of this.workspace.paths()) {
      const held = this.workspace.read(path);
      if (isText(held)) texts[path] = held;
    }
    return texts;
  }

  show(path: string, line?: number, column?: number): void {
    void this.open(path, line, column);
  }

  /** Open a file; it is loaded first where it is not here. Throws ApiError. */
  async open(path: string, line?: number, column?: number): Promise<void> {
    if (!this.workspace.has(path)) return;
    this.workspace.show(path);
    this.present();
    await this.bring(path);
    if (this.workspace.active === path && line && this.isEdited(path)) this.view.go(line, column);
  }

  /** Have a file here that the server has. Throws ApiError. */
  async bring(path: string): Promise<void> {
    const held = this.workspace.read(path);
    if (!isAbsent(held)) return;
    const content = await load(this.app, held);
    this.workspace.loaded(path, content);
    if (this.workspace.active === path) this.present();
  }

  /** Whether the file that is shown is text, here, and not too large. */
  isEdited(path: string): boolean {
    const held = this.workspace.read(path);
    return isText(held) && sizeOf(held) <= EDITED_BYTES_MAX;
  }

  mark(problems: Problem[]): void {
    for (const path of this.problems.keys()) this.view.mark(path, []);
    this.problems = Map.groupBy(problems, (problem) => problem.path);
    for (const [path, found] of this.problems) this.view.mark(path, found);
    this.tell("files");
  }

  on(what: News, then: () => void): void {
    this.heard[what].push(then);
  }

  tell(what: News): void {
    for (const then of this.heard[what]) then();
  }

  // What is done to files

  create(path: string, content: Content): void {
    this.workspace.create(path, content);
    this.changed();
    this.show(path);
  }

  /** Files from outside, over those of the same names. Returns those without a place, and why. */
  take(files: Record<string, Content>): Record<string, string> {
    const refused = this.workspace.take(files);
    for (const [path, content] of Object.entries(files)) {
      if (!(path in refused)) this.follow(path, content);
    }
    this.changed();
    return refused;
  }

  /** Move a file or a folder. Throws PathError, ApiError. */
  async rename(from: string, to: string): Promise<void> {
    const refused = this.workspace.within(from).map((path) => this.workspace.refusal(to + path.slice(from.length), this.workspace.within(from)));
    if (!refused.some(Boolean)) await Promise.all(this.workspace.within(from).map((path) => this.bring(path)));
    for (const [before, after] of this.workspace.rename(from, to)) this.view.moved(before, after);
    this.changed();
    this.present();
  }

  /** Delete a file or a folder; what is returned puts it back. */
  remove(path: string): () => void {
    const before = this.workspace.within(path).map((each): [string, Held] => [each, this.workspace.read(each)!]);
    for (const gone of this.workspace.remove(path)) this.view.forget(gone);
    this.changed();
    this.present();
    return () => {
      for (const [each, held] of before) this.workspace.putBack(each, held);
      this.changed();
      this.show(before[0]![0]);
    };
  }

  revert(path: string): void {
    this.workspace.revert(path);
    const held = this.workspace.read(path);
    if (held === undefined) this.view.forget(path);
    else if (!isAbsent(held)) this.follow(path, held);
    this.changed();
    this.present();
  }

  replace(path: string, content: Content): void {
    this.workspace.write(path, content);
    this.follow(path, content);
    this.changed();
    this.present();
  }

  /** Change a text of the draft, whether it is open or not; `edits` do not overlap. */
  edit(path: string, edits: Edit[]): void {
    if (this.view.has(path)) return this.view.edit(path, edits);
    let text = this.workspace.read(path);
    if (!isText(text)) return;
    for (const edit of edits.toSorted((a, b) => b.from - a.from)) text = text.slice(0, edit.from) + edit.insert + text.slice(edit.to);
    this.workspace.write(path, text);
    this.changed();
  }

  close(path: string): void {
    this.workspace.close(path);
    this.present();
  }

  /** All of the draft is other files now, on top of another version. */
  rebase(version: number, base: ReadonlyMap<string, Held>, mine?: Record<string, Content>): void {
    this.workspace.rebase(version, base, mine);
    this.refresh();
  }

  /** The draft is another one: open files show what it holds. */
  refresh(): void {
    for (const path of this.view.paths()) {
      const held = this.workspace.read(path);
      if (isText(held)) this.follow(path, held);
      else this.view.forget(path);
    }
    this.changed();
    this.present();
  }

  /** Show what is to be shown. */
  present(): void {
    const path = this.workspace.active;
    const held = this.workspace.read(path);
    if (path && this.isEdited(path) && isText(held)) {
      this.view.show(path, held);
      this.view.mark(path, this.problems.get(path) ?? []);
    } else this.view.clear();
    this.tell("shown");
    this.tell("files");
  }

  changed(): void {
    this.tell("files");
    this.tell("changed");
  }

  private typed(path: string, text: string): void {
    const before = this.workspace.isDirty(path);
    this.workspace.write(path, text);
    if (before !== this.workspace.isDirty(path)) this.tell("files");
    this.tell("changed");
  }

  /** The editor shows what the draft holds. */
  private follow(path: string, content: Content): void {
    if (typeof content !== "string") this.view.forget(path);
    else if (!this.view.replace(path, content)) this.view.forget(path);
    if (path === this.workspace.active) this.present();
  }
}

