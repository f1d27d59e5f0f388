// A request built by hand, asked of the app or of its draft, and all about the answer.

import { onAgain } from "../lib/again";
import { ApiError, call, ofApp } from "../lib/api";
import type { Desk, Pane } from "../lib/desk";
import { make } from "../lib/dom";
import { plain } from "../lib/shown";
import { type Answer, shown } from "../try/answer";
import { type Asking, METHODS, curl, headersOf, mayHaveBody, remembered, remembering, wirePath } from "../try/asking";

const pane: Pane = (box, desk) => {
  if (desk.app) new TryPane(box, desk);
  else box.append(make("p", { className: "hint" }, "There is nothing to ask yet. Run the app first."));
};
export default pane;

class TryPane {
  private readonly method = make("select", { ariaLabel: "Method" }, ...METHODS.map((name) => make("option", {}, name)));
  private readonly path = make("input", { type: "text", value: "/", ariaLabel: "Path to ask", spellcheck: false, autocapitalize: "off", autocomplete: "off" });
  private readonly target = make("select", { ariaLabel: "Ask what" }, make("option", { value: "live" }, "Live"), make("option", { value: "draft" }, "Draft"));
  private readonly rows = make("div", { className: "try-rows" });
  private readonly body = make("textarea", { className: "lines", rows: 4, ariaLabel: "Body", spellcheck: false, autocapitalize: "off", autocomplete: "off" });
  private readonly bodyBox = make("label", { className: "try-bodybox", hidden: true }, "Body", this.body);
  private readonly send = make("button", { type: "submit", className: "go", title: "Ctrl+Enter" }, "Send");
  private readonly copied = make("button", { type: "button" }, "Copy as curl");
  private readonly answer = make("section", { className: "try-answer", ariaLabel: "Answer" });
  private readonly past = make("div", { className: "try-past" });
  private readonly store: string;
  private asking = false;

  constructor(box: HTMLElement, private readonly desk: Desk) {
    this.store = `steady.tries.${desk.app}`;
    const more = make("button", { type: "button", className: "plain" }, "Add a header");
    more.addEventListener("click", () => this.row().focus());
    this.copied.addEventListener("click", () => this.copy());
    this.method.addEventListener("change", () => this.suit());
    const form = make("form", { className: "try-form", data: { ownKey: "Mod-Enter" } },
      make("div", { className: "try-line" }, this.method, this.path, this.target, this.send),
      this.rows, this.bodyBox, make("div", { className: "try-more" }, more, this.copied));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.ask(this.read());
    });
    // Ctrl-Enter means this form while one is in it, and the draft elsewhere.
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit();
    });
    box.classList.add("try");
    box.append(form, this.answer, this.past);
    this.suit();
    this.remember(remembered(this.stored()));
    onAgain(({ method, path, headers }) => this.write({ method, path, headers: Object.fromEntries(headers), body: "", preview: false }));
  }

  private suit(): void {
    this.bodyBox.hidden = !mayHaveBody(this.method.value);
  }

  private read(): Asking {
    const pairs = [...this.rows.children].map((row): [string, string] => {
      const [name, value] = row.querySelectorAll("input");
      return [name!.value, value!.value];
    });
    const body = mayHaveBody(this.method.value) ? this.body.value : "";
    return { method: this.method.value, path: this.path.value, headers: headersOf(pairs), body, preview: this.target.value === "draft" };
  }

  private write(asking: Asking): void {
    this.method.value = asking.method;
    this.path.value = asking.path;
    this.target.value = asking.preview ? "draft" : "live";
    this.body.value = asking.body;
    this.rows.replaceChildren();
    for (const [name, value] of Object.entries(asking.headers)) this.row(name, value);
    this.suit();
  }

  /** One more header; returns the field of its name. */
  private row(name = "", value = ""): HTMLInputElement {
    const field = make("input", { type: "text", value: name, placeholder: "Header", ariaLabel: "Header's name", spellcheck: false, autocapitalize: "off" });
    const away = make("button", { type: "button", className: "plain", ariaLabel: "Remove this header", title: "Remove this header" }, "×");
    const row = make("div", { className: "try-row" }, field, make("input", { type: "text", value, placeholder: "Value", ariaLabel: "Header's value", spellcheck: false }), away);
    away.addEventListener("click", () => row.remove());
    this.rows.append(row);
    return field;
  }

  private async ask(asking: Asking): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.send.setAttribute("aria-busy", "true");
    this.answer.setAttribute("aria-live", "polite");
    this.remember(remembering(remembered(this.stored()), asking));
    try {
      const sent = { method: asking.method, path: wirePath(asking.path), headers: asking.headers, body: asking.body || null, preview: asking.preview };
      const { answer } = await call<{ answer: Answer }>("POST", ofApp(this.desk.app, "/try"), sent);
      this.answer.replaceChildren(...shown(answer));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.answer.replaceChildren(make("p", { className: "try-error", role: "alert" }, error.message));
    } finally {
      this.asking = false;
      this.send.removeAttribute("aria-busy");
    }
  }

  private stored(): string | null {
    try {
      return localStorage.getItem(this.store);
    } catch {
      return null; // storage is off
    }
  }

  /** Keep these, and show them. */
  private remember(past: Asking[]): void {
    try {
      localStorage.setItem(this.store, JSON.stringify(past));
    } catch {
      // Storage is off or full: they are shown as long as this page is.
    }
    const items = past.map((asking) => {
      const button = make("button", { type: "button", className: "plain" }, `${asking.method} ${plain(asking.path)}${asking.preview ? " (draft)" : ""}`);
      button.addEventListener("click", () => this.write(asking));
      return make("li", {}, button);
    });
    const open = this.past.querySelector("details")?.open ?? false;
    this.past.replaceChildren(...(items.length ? [make("details", { open }, make("summary", {}, "Asked before"), make("ul", {}, ...items))] : []));
  }

  private async copy(): Promise<void> {
    const line = curl(this.desk.url, this.read());
    try {
      await navigator.clipboard.writeText(line);
      this.copied.textContent = "Copied";
      setTimeout(() => (this.copied.textContent = "Copy as curl"), 2_000);
    } catch {
      // No clipboard here (plain http beyond localhost): shown, it can be copied by hand.
      this.answer.replaceChildren(make("pre", { className: "try-body", tabIndex: 0 }, line));
    }
  }
}
