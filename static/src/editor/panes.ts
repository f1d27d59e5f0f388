// The panes beside the editor, as tabs. Each comes when it is first shown.

import type { Desk, Pane } from "../lib/desk";
import { make } from "../lib/dom";

const PANES: Record<string, { title: string; load: () => Promise<{ default: Pane }> }> = {
  preview: { title: "Preview", load: () => import("../panes/preview") },
  logs: { title: "Logs", load: () => import("../panes/logs") },
  requests: { title: "Requests", load: () => import("../panes/requests") },
  try: { title: "Try", load: () => import("../panes/try") },
};

/** Put the tabs into `root`, and open `first`. Returns what opens one by its name. */
export function mountPanes(root: HTMLElement, desk: Desk, first: string): (name: string) => void {
  const bar = make("div", { className: "pane-tabs", role: "tablist", ariaLabel: "Beside the code" });
  const tabs = new Map<string, HTMLButtonElement>();
  const boxes = new Map<string, HTMLElement>();
  const open = (name: string, focus = false) => {
    if (!PANES[name]) return;
    for (const [other, tab] of tabs) {
      tab.ariaSelected = String(other === name);
      tab.tabIndex = other === name ? 0 : -1;
      boxes.get(other)!.hidden = other !== name;
    }
    if (focus) tabs.get(name)!.focus();
    fill(boxes.get(name)!, name, desk);
  };
  const names = Object.keys(PANES);
  for (const name of names) {
    const tab = make("button", { type: "button", role: "tab", id: `pane-tab-${name}`, className: "pane-tab" }, PANES[name]!.title);
    tab.setAttribute("aria-controls", `pane-${name}`);
    tab.addEventListener("click", () => open(name));
    const box = make("div", { className: "pane", id: `pane-${name}`, role: "tabpanel", data: { pane: name } });
    box.setAttribute("aria-labelledby", tab.id);
    tabs.set(name, tab);
    boxes.set(name, box);
  }
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = names.findIndex((name) => tabs.get(name) === document.activeElement);
    if (step && at >= 0) open(names[(at + step + names.length) % names.length]!, true);
  });
  bar.append(...tabs.values());
  root.replaceChildren(bar, ...boxes.values());
  open(first);
  return open;
}

async function fill(box: HTMLElement, name: string, desk: Desk): Promise<void> {
  if (box.dataset.filled) return;
  box.dataset.filled = "yes";
  try {
    (await PANES[name]!.load()).default(box, desk);
  } catch (error) {
    delete box.dataset.filled;
    box.replaceChildren(make("p", { className: "hint" }, `This did not load: ${error}. Open the tab again to try once more.`));
  }
}
