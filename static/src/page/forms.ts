// A form that was sent says so, and is not sent twice; unsent edits are not lost by a stray click.

import { all } from "../lib/dom";

export function busyForms(root: ParentNode): void {
  for (const form of all<HTMLFormElement>("form[data-busy]", root)) form.addEventListener("submit", send);
  for (const form of all<HTMLFormElement>("form[data-guard]", root)) guard(form);
  // The browser's back button may bring back a page as it was when its form was sent.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) for (const form of all<HTMLFormElement>("form[data-sent]", root)) settle(form);
  });
}

function send(event: SubmitEvent): void {
  const form = event.currentTarget as HTMLFormElement;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  const button = form.querySelector<HTMLButtonElement>("button:not([type=button])");
  if (!button) return;
  button.setAttribute("aria-busy", "true");
  button.dataset.words = button.textContent ?? "";
  button.textContent = form.dataset.busy ?? "";
}

function settle(form: HTMLFormElement): void {
  delete form.dataset.sent;
  const button = form.querySelector<HTMLButtonElement>("button[aria-busy]");
  button?.removeAttribute("aria-busy");
  if (button) button.textContent = button.dataset.words ?? "";
}

function guard(form: HTMLFormElement): void {
  let changed = false;
  form.addEventListener("input", () => (changed = true));
  addEventListener("beforeunload", (event) => {
    if (changed && !form.dataset.sent) event.preventDefault();
  });
}
