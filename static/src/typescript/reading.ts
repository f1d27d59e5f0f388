// A text that is none of the draft's, to be read: where a name is made that a package or the language brings.

import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { language } from "../editor/languages";
import { theme } from "../editor/theme";
import { make } from "../lib/dom";

/** Show `text` with `line`, counted from 1, in sight; Escape closes it. */
export async function showText(name: string, text: string, line: number): Promise<void> {
  const nonce = document.querySelector<HTMLElement>('meta[name="csp-nonce"]')?.nonce ?? "";
  const close = make("button", { type: "button" }, "Close");
  const title = make("h2", { id: "ts-text-title" }, name);
  const box = make("div", { className: "ts-read" });
  const dialog = make("dialog", { className: "card ts-text" }, make("div", { className: "ts-text-head" }, title, close), box);
  dialog.setAttribute("aria-labelledby", title.id);
  close.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  const tongue = await language(name).catch(() => []);
  const state = EditorState.create({
    doc: text,
    extensions: [
      EditorView.cspNonce.of(nonce), EditorState.readOnly.of(true), lineNumbers(), tongue, theme,
      EditorView.contentAttributes.of({ "aria-label": `Text of ${name}` }),
    ],
  });
  const view = new EditorView({ parent: box, state });
  const at = state.doc.line(Math.min(Math.max(1, line), state.doc.lines)).from;
  view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
  view.focus();
  dialog.addEventListener("close", () => {
    view.destroy();
    dialog.remove();
  });
}
