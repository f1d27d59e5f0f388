// Questions that a page asks, in the browser's own dialogs: focus and Escape are as everywhere.

import { make } from "./dom";

/** Ask for one line. `check` says why it is no good, or "". Null: nothing was decided. */
export function askFor(title: string, value: string, action: string, check: (typed: string) => string): Promise<string | null> {
  const field = make("input", { value, autocomplete: "off", spellcheck: false, id: "asked" });
  field.setAttribute("autocapitalize", "off");
  field.setAttribute("aria-describedby", "asked-problem");
  const label = make("label", { htmlFor: "asked" }, title);
  const problem = make("p", { id: "asked-problem", className: "bad-text small", role: "alert" });
  const button = make("button", { className: "go", value: "yes" }, action);
  return open(title, [label, field, problem], button, () => {
    problem.textContent = check(field.value);
    return problem.textContent ? undefined : field.value;
  }, () => {
    const name = value.slice(value.lastIndexOf("/") + 1);
    const dot = name.lastIndexOf(".");
    field.focus();
    field.setSelectionRange(value.length - name.length, dot > 0 ? value.length - name.length + dot : value.length);
  });
}

/** Ask whether. */
export async function confirmed(title: string, why: string, action: string): Promise<boolean> {
  const button = make("button", { className: "go", value: "yes" }, action);
  return (await open(title, [make("p", { className: "strong" }, title), make("p", {}, why)], button, () => "yes", () => button.focus())) !== null;
}

// Private

function open(title: string, content: HTMLElement[], button: HTMLButtonElement, answer: () => string | undefined, begin: () => void): Promise<string | null> {
  const cancel = make("button", { type: "button" }, "Cancel");
  const form = make("form", { method: "dialog", className: "stack" }, ...content, make("div", { className: "choices" }, button, cancel));
  const dialog = make("dialog", { className: "card pad asking", ariaLabel: title }, form);
  document.body.append(dialog);
  return new Promise((done) => {
    let said: string | null = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const found = answer();
      if (found === undefined) return;
      said = found;
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(said);
    });
    dialog.showModal();
    begin();
  });
}
