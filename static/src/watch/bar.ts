// What stands above a log viewer: search, how lines are shown, what can be done with them.

import { make } from "../lib/dom";
import { ofApp } from "../lib/api";
import { stream } from "../lib/stream";
import type { Viewer } from "./viewer";

const PAUSE_MS = 250; // between the last key and the search
const WRAP = "steady-log-wrap";
const UTC = "steady-log-utc";

/** The buttons: wrap, UTC, copy, and how the connection is. */
export function tools(app: string, viewer: Viewer, download: HTMLAnchorElement): HTMLElement {
  const dot = make("span", { className: "dot" });
  const words = make("span", {});
  stream(app).watch((link) => {
    dot.classList.toggle("on", link === "live");
    words.textContent = link;
  });
  const fresh = () => (download.href = `/api${ofApp(app, `/logs?${viewer.query()}&download=1`)}`);
  for (const moment of ["pointerdown", "focus"]) download.addEventListener(moment, fresh);
  return make(
    "div", { className: "log-tools" },
    make("span", { className: "hint" }, dot, words),
    toggle("Wrap", WRAP, true, (on) => viewer.element.classList.toggle("wrap", on)),
    toggle("UTC", UTC, false, (on) => viewer.inUtc(on)),
    copying(viewer),
    download,
  );
}

/** Call `then` once typing paused, or Enter was pressed. */
export function typed(input: HTMLInputElement, then: () => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let told = input.value;
  const tell = () => {
    clearTimeout(timer);
    if (input.value !== told) then();
    told = input.value;
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE_MS);
  });
  input.addEventListener("change", tell);
}

/** A slash, pressed where nobody types, goes to the search. */
export function slash(within: HTMLElement | Document, input: HTMLInputElement): void {
  within.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event as KeyboardEvent;
    const typing = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
    if (key !== "/" || typing || ctrlKey || metaKey || altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}

function toggle(title: string, name: string, standard: boolean, then: (on: boolean) => void): HTMLButtonElement {
  let on = (localStorage.getItem(name) ?? String(standard)) === "true";
  const made = make("button", { type: "button", className: "plain", ariaPressed: String(on) }, title);
  made.addEventListener("click", () => {
    on = !on;
    localStorage.setItem(name, String(on));
    made.ariaPressed = String(on);
    then(on);
  });
  then(on);
  return made;
}

// What is selected, else every line in memory.
function copying(viewer: Viewer): HTMLButtonElement {
  const made = make("button", { type: "button", className: "plain" }, "Copy");
  made.addEventListener("click", async () => {
    const selected = getSelection()?.toString();
    try {
      await navigator.clipboard.writeText(selected || viewer.text());
      made.textContent = "Copied";
    } catch {
      made.textContent = "Not copied: no clipboard here";
    }
    setTimeout(() => (made.textContent = "Copy"), 1_500);
  });
  return made;
}
