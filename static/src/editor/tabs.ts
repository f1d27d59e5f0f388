// The open files as tabs: a row of buttons that can be dragged, or moved with Shift and an arrow key.

import { make } from "../lib/dom";
import type { Editing } from "./editing";
import { mistakes } from "./mistakes";
import { nameOf } from "./paths";

/** Keep `root` showing the open files. */
export function fileTabs(root: HTMLElement, editing: Editing): void {
  const { workspace } = editing;
  const list = make("ul", { className: "file-tabs" });
  root.append(list);
  const render = () => {
    const focused = list.contains(document.activeElement) ? workspace.active : "";
    list.replaceChildren(...workspace.open.map((path) => tab(path, editing)));
    const shown = list.querySelector<HTMLElement>("[aria-current]");
    if (shown?.parentElement) reveal(shown.parentElement, list);
    if (focused) shown?.focus();
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = workspace.open.indexOf(workspace.active);
    if (event.key === "Delete") editing.close(workspace.active);
    else if (!step || at < 0) return;
    else if (event.shiftKey) workspace.reorder(workspace.active, at + step);
    else editing.show(workspace.open[(at + step + workspace.open.length) % workspace.open.length]!);
    event.preventDefault();
    editing.tell("files");
  });
  list.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes(TAB)) event.preventDefault();
  });
  list.addEventListener("drop", (event) => {
    const path = event.dataTransfer?.getData(TAB);
    if (!path) return;
    event.preventDefault();
    const items = [...list.children];
    const at = items.findIndex((item) => event.clientX < item.getBoundingClientRect().left + item.clientWidth / 2);
    const before = workspace.open.indexOf(path);
    const to = at < 0 ? items.length : at;
    workspace.reorder(path, to > before ? to - 1 : to);
    editing.tell("files");
  });
  editing.on("files", render);
  render();
}

// Private

const TAB = "application/x-steadyd-tab";

function tab(path: string, editing: Editing): HTMLLIElement {
  const { workspace } = editing;
  const name = nameOf(path);
  const isAlone = workspace.paths().filter((other) => nameOf(other) === name).length === 1;
  const failed = editing.problems.has(path);
  const dirty = workspace.isDirty(path);
  const button = make("button", { type: "button", className: `file-tab${failed ? " failed" : ""}`, title: path, draggable: true }, isAlone ? name : path);
  if (dirty) button.append(make("span", { className: "dirty", title: "changed" }, make("span", { className: "unseen" }, " changed")));
  if (failed) button.append(make("span", { className: "unseen" }, " failed"));
  button.append(...mistakes(path, editing));
  if (path === workspace.active) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => editing.show(path));
  button.addEventListener("auxclick", (event) => event.button === 1 && editing.close(path));
  button.addEventListener("dragstart", (event) => event.dataTransfer?.setData(TAB, path));
  const close = make("button", { type: "button", className: "close", tabIndex: -1, ariaLabel: `Close ${path}`, title: "Close" }, "×");
  close.addEventListener("click", () => editing.close(path));
  return make("li", {}, button, close);
}

/** Scroll the row so far that all of `item` is seen. Not scrollIntoView: from there on Tab would go, past the page's head. */
function reveal(item: HTMLElement, row: HTMLElement): void {
  const [inner, outer] = [item.getBoundingClientRect(), row.getBoundingClientRect()];
  if (inner.left < outer.left) row.scrollLeft -= outer.left - inner.left;
  else if (inner.right > outer.right) row.scrollLeft += inner.right - outer.right;
}
