// The one CodeMirror editor of the page. Every open file keeps its own state in it: text, undo history, cursor, scroll.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, codeFolding, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, openSearchPanel, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, type StateEffect, type TransactionSpec } from "@codemirror/state";
import {
  drawSelection, dropCursor, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
} from "@codemirror/view";
import type { Problem } from "../lib/desk";
import { language } from "./languages";
import { marking, markIn, offsetOf } from "./marks";
import { theme } from "./theme";

/** What the editor tells. */
export interface Hooks {
  changed(path: string, text: string): void;
  cursor(line: number, column: number, selected: number): void;
}

/** A part of a file's text, by offsets in line feeds only. */
export interface Edit { from: number; to: number; insert: string }

export class CodeView {
  /** The file that is shown; "" for none. */
  path = "";
  private readonly view: EditorView;
  private readonly states = new Map<string, EditorState>();
  private readonly scrolls = new Map<string, StateEffect<unknown>>();
  private readonly tongue = new Compartment();
  private readonly extra = new Compartment();
  private readonly readOnly = new Compartment();
  private extras: (path: string) => Extension = () => [];
  private locked = false;
  private readonly nonce = document.querySelector<HTMLElement>('meta[name="csp-nonce"]')?.nonce ?? "";

  constructor(parent: HTMLElement, private hooks: Hooks, private keys: Extension) {
    this.view = new EditorView({ parent, extensions: EditorView.cspNonce.of(this.nonce) });
  }

  /** Show a file; `text` is taken if it is not open yet. */
  show(path: string, text: string): void {
    if (path === this.path) return;
    this.keep();
    const known = this.states.get(path);
    this.path = path;
    this.view.setState(known ?? this.begin(path, text));
    const scroll = this.scrolls.get(path);
    if (scroll) this.view.dispatch({ effects: scroll });
    this.tellCursor();
  }

  /** Show none. */
  clear(): void {
    this.keep();
    this.path = "";
    this.view.setState(EditorState.create({ extensions: EditorView.cspNonce.of(this.nonce) }));
  }

  /** The file is another one now, under another name. */
  moved(from: string, to: string): void {
    this.keep();
    const state = this.states.get(from);
    this.forget(from);
    if (!state) return;
    const effects = [this.extra.reconfigure([this.about(to), this.extras(to)])];
    this.states.set(to, state.update({ effects }).state);
    this.speak(to);
  }

  /** Forget a file and its history. */
  forget(path: string): void {
    if (path === this.path) this.path = "";
    this.states.delete(path);
    this.scrolls.delete(path);
  }

  /** Whether the file is open. */
  has(path: string): boolean {
    return this.stateOf(path) !== undefined;
  }

  /** Every open file. */
  paths(): string[] {
    return [...new Set([...this.states.keys(), this.path])].filter(Boolean);
  }

  /** Change the text of an open file; undo takes it back. */
  edit(path: string, edits: Edit[]): void {
    this.update(path, () => ({ changes: edits, userEvent: "input" }));
  }

  /** Put another text into an open file; undo takes it back. False where it is not open. */
  replace(path: string, text: string): boolean {
    const state = this.stateOf(path);
    if (!state) return false;
    if (state.sliceDoc() !== text) this.update(path, (now) => ({ changes: { from: 0, to: now.doc.length, insert: now.toText(text) } }));
    return true;
  }

  mark(path: string, problems: Problem[]): void {
    this.update(path, (state) => markIn(state, problems));
  }

  /** Put the cursor there and show it. */
  go(line: number, column = 1): void {
    const anchor = offsetOf(this.view.state.doc, line, column);
    this.view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "nearest", yMargin: 60 }) });
    this.view.focus();
  }

  focus(): void {
    this.view.focus();
  }

  /** What is selected, if it is within a line. */
  selected(): string {
    const { from, to } = this.view.state.selection.main;
    const text = this.view.state.sliceDoc(from, to);
    return text.includes("\n") ? "" : text;
  }

  find(): void {
    openSearchPanel(this.view);
  }

  /** More for every file, open ones too: what TypeScript knows. */
  extend(extras: (path: string) => Extension): void {
    this.extras = extras;
    for (const path of [...this.states.keys(), this.path]) {
      this.update(path, () => ({ effects: this.extra.reconfigure([this.about(path), extras(path)]) }));
    }
  }

  /** Whether text can be typed. */
  lock(locked: boolean): void {
    this.locked = locked;
    for (const path of [...this.states.keys(), this.path]) {
      this.update(path, () => ({ effects: this.readOnly.reconfigure(EditorState.readOnly.of(locked)) }));
    }
  }

  private begin(path: string, text: string): EditorState {
    this.speak(path);
    return EditorState.create({
      doc: text,
      extensions: [
        EditorView.cspNonce.of(this.nonce),
        // Where every line ends as in other systems, it goes on doing so.
        /^[^\n]*\r\n/.test(text) && !/[^\r]\n/.test(text) ? EditorState.lineSeparator.of("\r\n") : [],
        this.keys,
        this.readOnly.of(EditorState.readOnly.of(this.locked)),
        lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), codeFolding(), foldGutter(), drawSelection(),
        dropCursor(), EditorState.allowMultipleSelections.of(true), indentOnInput(), indentUnit.of("  "), bracketMatching(),
        closeBrackets(), autocompletion(), highlightActiveLine(), highlightSelectionMatches(), search({ top: true }), lintGutter(),
        keymap.of([
          ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap,
          indentWithTab,
        ]),
        marking,
        theme,
        this.tongue.of([]),
        this.extra.of([this.about(path), this.extras(path)]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) this.hooks.changed(this.path, update.state.sliceDoc());
          if (update.docChanged || update.selectionSet) this.tellCursor();
        }),
      ],
    });
  }

  /** What the file is called, to those who do not see it. */
  private about(path: string): Extension {
    return EditorView.contentAttributes.of({
      "aria-label": `Text of ${path}`, tabindex: "0", spellcheck: "false", autocapitalize: "off", autocorrect: "off",
    });
  }

  /** Colours come when their language is there. */
  private async speak(path: string): Promise<void> {
    const extension = await language(path).catch(() => []);
    this.update(path, () => ({ effects: this.tongue.reconfigure(extension) }));
  }

  private stateOf(path: string): EditorState | undefined {
    return path && path === this.path ? this.view.state : this.states.get(path);
  }

  private update(path: string, change: (state: EditorState) => TransactionSpec): void {
    if (path && path === this.path) {
      this.view.dispatch(change(this.view.state));
      return;
    }
    const state = this.states.get(path);
    if (!state) return;
    const made = state.update(change(state));
    this.states.set(path, made.state);
    if (made.docChanged) this.hooks.changed(path, made.state.sliceDoc());
  }

  private keep(): void {
    if (!this.path) return;
    this.states.set(this.path, this.view.state);
    this.scrolls.set(this.path, this.view.scrollSnapshot());
  }

  private tellCursor(): void {
    const { main } = this.view.state.selection;
    const line = this.view.state.doc.lineAt(main.head);
    this.hooks.cursor(line.number, main.head - line.from + 1, main.to - main.from);
  }
}

