// One strip below the editor that says what came of something. It stays until something else is said.

import { make } from "../lib/dom";

export type Kind = "going" | "done" | "failed" | "note";

export interface Choice { words: string; run: () => void; go?: boolean }

export class Outcome {
  private readonly box = make("div", { className: "outcome", hidden: true });
  /** Two regions, always there: what fails is told at once, the rest when its reader is at rest. */
  private readonly status = make("div", { role: "status" });
  private readonly alert = make("div", { role: "alert" });

  constructor(root: HTMLElement) {
    this.box.append(this.status, this.alert);
    root.append(this.box);
  }

  say(kind: Kind, content: (Node | string)[], choices: Choice[] = []): void {
    const close = { words: "Close", run: () => this.clear() };
    const buttons = [...choices, ...(kind === "going" ? [] : [close])].map(button);
    // A button that is there again keeps the focus: what goes on is told anew at each step.
    const focused = this.box.contains(document.activeElement) ? document.activeElement?.textContent : "";
    const region = kind === "failed" ? this.alert : this.status;
    (kind === "failed" ? this.status : this.alert).replaceChildren();
    const words = content.every((part) => typeof part === "string") ? [make("p", {}, ...content)] : content;
    region.replaceChildren(...words, make("div", { className: "choices" }, ...buttons));
    this.box.className = `outcome ${kind}`;
    this.box.hidden = false;
    buttons.find((each) => each.textContent === focused)?.focus();
  }

  clear(): void {
    this.status.replaceChildren();
    this.alert.replaceChildren();
    this.box.hidden = true;
  }
}

// Private

function button({ words, run, go }: Choice): HTMLButtonElement {
  const made = make("button", { type: "button", className: go ? "go" : words === "Close" ? "plain" : "" }, words);
  made.addEventListener("click", run);
  return made;
}
