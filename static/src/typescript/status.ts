// Where TypeScript stands, in few words, with the list of what it found.

import { make } from "../lib/dom";
import { plain } from "../lib/shown";
import type { Finding } from "./assistant";
import type { State } from "./client";

/** Findings in the list; the others are counted. */
export const LISTED_MAX = 200;

const KEYS = "F12 or Ctrl and a click: where it is made. F2: another name. Ctrl Shift Space: parameters. Shift Alt F: format.";
const WORDS: Record<State, string> = { loading: "Loading types", checking: "Checking", ready: "Ready", stopped: "Stopped" };

export class Status {
  readonly element: HTMLDetailsElement;
  readonly #state = make("span", { className: "ts-state" });
  readonly #count = make("span", { className: "ts-count" });
  readonly #trouble = make("p", { className: "hint", hidden: true });
  readonly #list = make("ul", { className: "ts-list" });

  constructor(private readonly does: { show(path: string, line: number, column: number): void; restart(): void }) {
    const restart = make("button", { type: "button", className: "plain" }, "Restart TypeScript");
    restart.addEventListener("click", () => this.does.restart());
    const summary = make("summary", {}, "TypeScript: ", this.#state, " ", this.#count);
    this.element = make("details", { className: "ts-status" }, summary, make("div", { className: "ts-box" }, this.#list, this.#trouble, make("p", { className: "hint" }, KEYS), restart));
    this.list(new Map());
  }

  say(state: State): void {
    this.#state.textContent = WORDS[state];
    this.element.dataset.state = state;
    if (state === "loading") this.trouble("");
  }

  trouble(message: string): void {
    this.#trouble.textContent = plain(message);
    this.#trouble.hidden = !message;
  }

  list(found: Map<string, Finding[]>): void {
    const all = [...found.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).flatMap(([, findings]) => findings);
    const errors = all.filter(({ severity }) => severity === "error").length;
    this.#count.textContent = errors ? `${errors} ${errors === 1 ? "problem" : "problems"}` : "";
    this.#count.classList.toggle("bad-text", errors > 0);
    const more = all.length - LISTED_MAX;
    this.#list.replaceChildren(
      ...all.slice(0, LISTED_MAX).map((finding) => this.#row(finding)),
      ...(more > 0 ? [make("li", { className: "hint" }, `and ${more} more`)] : []),
      ...(all.length ? [] : [make("li", { className: "hint" }, "No problems found.")]),
    );
  }

  // Private

  #row({ path, line, column, message, severity }: Finding): HTMLElement {
    const button = make(
      "button", { type: "button", className: `ts-finding ${severity}` },
      make("b", {}, `${path}:${line}`), ` ${plain(message.split("\n")[0]!)}`,
    );
    button.addEventListener("click", () => {
      this.element.open = false;
      this.does.show(path, line, column);
    });
    return make("li", {}, button);
  }
}
