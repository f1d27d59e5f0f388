// Another name for what is under the cursor, wherever it is used in the draft: asked for in a line below the editor.

import { StateEffect, StateField } from "@codemirror/state";
import { showPanel, type EditorView, type Panel } from "@codemirror/view";
import { make } from "../lib/dom";
import type { Means } from "./extension";

type Make = ((view: EditorView) => Panel) | null;

const setPanel = StateEffect.define<Make>();
const panel = StateField.define<Make>({
  create: () => null,
  update: (shown, transaction) => transaction.effects.reduce((now: Make, effect) => (effect.is(setPanel) ? effect.value : now), shown),
  provide: (field) => showPanel.from(field),
});

/** Ask for a name, and change it everywhere. Nothing where there is no word. */
export function askName(view: EditorView, path: string, means: Means): void {
  const at = view.state.selection.main.head;
  const word = view.state.wordAt(at);
  if (!word) return;
  const was = view.state.sliceDoc(word.from, word.to);
  const show = () => ({ dom: form(view, was, (name) => rename(view, path, at, name, means)) });
  const effects: StateEffect<unknown>[] = [setPanel.of(show)];
  if (view.state.field(panel, false) === undefined) effects.unshift(StateEffect.appendConfig.of(panel));
  view.dispatch({ effects });
  view.dom.querySelector<HTMLInputElement>(".ts-rename input")?.select();
}

// Private

/** `done` changes the name and returns why it could not, or "". */
function form(view: EditorView, was: string, done: (name: string) => Promise<string>): HTMLElement {
  const input = make("input", { value: was, ariaLabel: `New name of ${was}`, autocomplete: "off", spellcheck: false });
  const said = make("span", { className: "bad-text", role: "status" });
  const close = () => {
    view.dispatch({ effects: setPanel.of(null) });
    view.focus();
  };
  const element = make("form", { className: "ts-rename" }, make("label", {}, `Rename ${was} to `, input), make("button", {}, "Rename"), said);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.textContent = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(input.value) ? await done(input.value) : "This is no name.";
    if (!said.textContent) close();
  });
  element.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close();
  });
  return element;
}

async function rename(view: EditorView, path: string, at: number, name: string, { client, draft, sync }: Means): Promise<string> {
  const text = view.state.doc;
  sync();
  const found = await client.ask("rename", path, at, name);
  if (found === undefined) return "TypeScript is not ready. Try again.";
  if (typeof found === "string") return found;
  if (!view.state.doc.eq(text)) return "The file has changed meanwhile. Try again.";
  for (const [file, edits] of Object.entries(found)) draft.edit(file, edits);
  return "";
}
