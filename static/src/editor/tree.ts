// All files of the draft as a tree of folders. Folders stay as they were left, per app and browser.

import { make } from "../lib/dom";
import type { Editing } from "./editing";
import { mistakes } from "./mistakes";
import { folderOf, nameOf } from "./paths";
import { rowsOf, type Row } from "./rows";

/** What the tree asks for. */
export interface Deeds {
  rename(path: string): void;
  remove(path: string): void;
  move(path: string, folder: string): void;
}

/** Keep `root` showing the files. */
export function fileTree(root: HTMLElement, editing: Editing, deeds: Deeds): void {
  const remembered = `steadyd.closed.${editing.app}`;
  const closed = new Set<string>(JSON.parse(localStorage.getItem(remembered) ?? "[]") as string[]);
  const list = make("ul", { className: "tree" });
  root.append(list);
  const toggle = (folder: string) => {
    if (!closed.delete(folder)) closed.add(folder);
    localStorage.setItem(remembered, JSON.stringify([...closed]));
    render();
    focus(folder);
  };
  const focus = (path: string) => buttons().find((button) => button.dataset.path === path)?.focus();
  const buttons = () => [...list.querySelectorAll<HTMLButtonElement>("button")];
  const render = () => {
    const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.path : undefined;
    list.replaceChildren(...rowsOf(editing.workspace.paths(), closed).map((row) => item(row, closed, editing, toggle)));
    if (focused) focus(focused);
  };
  list.addEventListener("keydown", (event) => {
    const at = buttons().indexOf(document.activeElement as HTMLButtonElement);
    const { path, folder } = buttons()[at]?.dataset ?? {};
    if (!path) return;
    const isClosed = closed.has(path);
    if (event.key === "ArrowDown") buttons()[at + 1]?.focus();
    else if (event.key === "ArrowUp") buttons()[at - 1]?.focus();
    else if (event.key === "ArrowRight" && folder && isClosed) toggle(path);
    else if (event.key === "ArrowLeft" && folder && !isClosed) toggle(path);
    else if (event.key === "ArrowLeft") focus(folderOf(path));
    else if (event.key === "F2") deeds.rename(path);
    else if (event.key === "Delete") deeds.remove(path);
    else return;
    event.preventDefault();
  });
  dragging(list, deeds);
  editing.on("files", render);
  render();
}

// Private

const MOVED = "application/x-steadyd-file";

function item(row: Row, closed: Set<string>, editing: Editing, toggle: (folder: string) => void): HTMLLIElement {
  const { workspace } = editing;
  const button = make("button", { type: "button", className: `leaf depth-${Math.min(row.depth, 8)}`, draggable: true, title: row.path, data: { path: row.path } }, nameOf(row.path));
  if (row.isFolder) {
    button.classList.add("folder");
    button.dataset.folder = "yes";
    button.ariaExpanded = String(!closed.has(row.path));
    button.addEventListener("click", () => toggle(row.path));
    if (closed.has(row.path) && workspace.dirty().some((path) => path.startsWith(`${row.path}/`))) button.append(dot());
  } else {
    button.addEventListener("click", () => editing.show(row.path));
    if (row.path === workspace.active) button.setAttribute("aria-current", "true");
    if (workspace.isDirty(row.path)) button.append(dot());
    button.append(...mistakes(row.path, editing));
    if (editing.problems.has(row.path)) {
      button.classList.add("failed");
      button.append(make("span", { className: "unseen" }, " failed"));
    }
  }
  return make("li", {}, button);
}

const dot = () => make("span", { className: "dirty", title: "changed" }, make("span", { className: "unseen" }, " changed"));

/** A file or folder that is dragged onto a folder, or onto a file in one, moves there. */
function dragging(list: HTMLElement, deeds: Deeds): void {
  const over = (event: DragEvent) => (event.target as Element).closest<HTMLElement>("[data-path]");
  list.addEventListener("dragstart", (event) => event.dataTransfer?.setData(MOVED, over(event)?.dataset.path ?? ""));
  list.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes(MOVED)) event.preventDefault();
  });
  list.addEventListener("drop", (event) => {
    const path = event.dataTransfer?.getData(MOVED);
    if (!path) return;
    event.preventDefault();
    const target = over(event);
    const folder = target?.dataset.folder ? target.dataset.path! : folderOf(target?.dataset.path ?? "");
    if (folder !== path && !folder.startsWith(`${path}/`)) deeds.move(path, folder);
  });
}
