// Operations under way are shown step by step; of one that ends, and of what is new, the server shows the whole.

import { ApiError, call } from "../lib/api";
import { all, make } from "../lib/dom";
import { span } from "../lib/shown";
import { stream, type Operation } from "../lib/stream";

/** `list` is where entries are; with an address in `data-activity`, new ones are told there. */
export function following(list: HTMLElement, app: string): void {
  const address = list.dataset["activity"];
  let news: HTMLElement | null = null;
  const tell = () => {
    if (!address || news) return;
    news = make("p", { className: "news" }, make("a", { href: address, className: "button" }, "There is news: load it"));
    news.setAttribute("role", "status");
    list.before(news);
  };
  stream(app).on("operation", (operation) => {
    const entry = list.querySelector<HTMLElement>(`[data-operation="${operation.id}"]`);
    if (entry) show(entry, operation);
    else tell();
  });
  stream(app).on("event", tell);
  // What went on before the stream was there, or while it was broken.
  stream(app).watch((link) => {
    if (link === "live") for (const entry of all("[data-operation]:has([data-cancel])", list)) void ask(entry);
  });
}

async function ask(entry: HTMLElement): Promise<void> {
  try {
    show(entry, (await call<{ operation: Operation }>("GET", `/operations/${entry.dataset["operation"]}`)).operation);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // the entry stays as the server made it
  }
}

function show(entry: HTMLElement, operation: Operation): void {
  const status = entry.querySelector("[data-status]");
  if (status) {
    status.textContent = operation.status;
    status.className = `pill is-${operation.status}`;
  }
  entry.querySelector("[data-steps]")?.replaceChildren(...steps(operation));
  if (operation.status !== "running") entry.querySelector<HTMLElement>("[data-cancel]")?.replaceChildren(outcome(operation));
}

function steps(operation: Operation): HTMLElement[] {
  const done = operation.steps.map((step) => {
    const item = make("li", { className: step.ok ? "" : "bad-text" }, `${step.name} `);
    item.append(make("span", { className: "hint" }, span(step.ms)));
    return item;
  });
  return operation.status === "running" ? [...done, make("li", { className: "going" }, `${operation.step}…`)] : done;
}

function outcome(operation: Operation): HTMLElement {
  return make("span", { className: operation.error ? "bad-text" : "hint" }, operation.error?.message ?? "It is done.");
}
