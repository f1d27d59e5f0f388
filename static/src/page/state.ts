// The head of an app's pages as it is now: its state, what it uses, and which verbs make sense.

import { all } from "../lib/dom";
import { stream, type State } from "../lib/stream";

export function liveState(root: ParentNode): void {
  const head = root.querySelector<HTMLElement>("[data-app]");
  if (head) stream(head.dataset.app!).on("state", show);
}

function show(state: State): void {
  for (const pill of live("state")) {
    pill.textContent = state.state;
    pill.className = `pill ${state.state}`;
  }
  say("sentence", state.sentence);
  say("memory", state.memory_bytes ? `${Math.round(state.memory_bytes / 1048576)} MiB` : "–");
  say("cpu", `${state.cpu_seconds.toFixed(1)} s`);
  say("version", String(state.version));
  for (const form of all("[data-when]")) form.hidden = !form.dataset.when!.split(" ").includes(state.state);
}

function live(name: string): HTMLElement[] {
  return all(`[data-live="${name}"]`);
}

function say(name: string, words: string): void {
  for (const element of live(name)) element.textContent = words;
}
