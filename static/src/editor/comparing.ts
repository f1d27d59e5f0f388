// Two texts of one file beside each other, theirs to be read and mine to be edited; on a narrow screen one in the other.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { getChunks, goToNextChunk, goToPreviousChunk, MergeView, unifiedMergeView } from "@codemirror/merge";
import { EditorState, type Extension } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { make } from "../lib/dom";
import { language } from "./languages";
import { colouring } from "./theme";

const NARROW = "(max-width: 60rem)";

export interface Comparison {
  /** Put another text into the editable side. */
  set(text: string): void;
  /** Go to the next change, or the one before. */
  step(forward: boolean): void;
  focus(): void;
  destroy(): void;
}

/** Show both below `parent`; `changed` hears of the editable text. */
export async function compare(parent: HTMLElement, path: string, theirs: string, mine: string, changed: (text: string) => void): Promise<Comparison> {
  const nonce = document.querySelector<HTMLElement>('meta[name="csp-nonce"]')?.nonce ?? "";
  const tongue = await language(path).catch(() => []);
  const shared = (label: string): Extension => [
    EditorView.cspNonce.of(nonce), lineNumbers(), tongue, colouring, EditorView.lineWrapping, looks,
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
  ];
  const editable: Extension = [
    shared(`${path}, the draft`), history(), keymap.of([...defaultKeymap, ...historyKeymap]),
    EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
  ];
  if (matchMedia(NARROW).matches) return narrow(parent, theirs, mine, editable);
  const readable = [shared(`${path}, theirs`), EditorState.readOnly.of(true)];
  const merged = new MergeView({
    parent, a: { doc: theirs, extensions: readable }, b: { doc: mine, extensions: editable },
    revertControls: "a-to-b", collapseUnchanged: { margin: 3, minSize: 8 }, gutter: true, renderRevertControl: () => take("Take these lines of theirs"),
  });
  return over(merged.b, () => merged.destroy());
}

// Private

function narrow(parent: HTMLElement, theirs: string, mine: string, editable: Extension): Comparison {
  const extensions = [editable, unifiedMergeView({ original: theirs, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 8 } })];
  const view = new EditorView({ parent, state: EditorState.create({ doc: mine, extensions }) });
  return over(view, () => view.destroy());
}

function over(view: EditorView, destroy: () => void): Comparison {
  return {
    set: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    step(forward) {
      if (!getChunks(view.state)?.chunks.length) return;
      (forward ? goToNextChunk : goToPreviousChunk)(view);
      view.focus();
    },
    focus: () => view.focus(),
    destroy,
  };
}

/** The merge view hears of the mouse only: a key's click is made one. */
function take(words: string): HTMLElement {
  const button = make("button", { type: "button", className: "take", title: words, ariaLabel: words }, "→");
  button.addEventListener("click", (event) => {
    if (event.detail === 0) button.dispatchEvent(new MouseEvent("mousedown", { bubbles: true }));
  });
  return button;
}

const looks = EditorView.theme({
  "&": { fontSize: ".84rem", backgroundColor: "var(--surface)", color: "var(--ink)" },
  ".cm-scroller": { fontFamily: "var(--mono)" },
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: "none" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--quiet)", borderColor: "var(--line)" },
});
