// What stands around the text: above the files, in the bar, below the text, and in its place.

import { make, one } from "../lib/dom";
import { span } from "../lib/shown";
import { stream } from "../lib/stream";
import { binaryView } from "./binary";
import { type Command, shownKeys } from "./commands";
import type { Editing } from "./editing";
import type { Held } from "./workspace";

/** Shows and hides the tree, which a phone has no place for. */
export function filesToggle(root: HTMLElement, files: HTMLElement): HTMLElement {
  files.id = "files";
  const button = make("button", { type: "button", className: "files-toggle" }, "Files");
  button.setAttribute("aria-controls", files.id);
  const set = (open: boolean) => {
    root.classList.toggle("no-files", !open);
    button.ariaExpanded = String(open);
  };
  button.addEventListener("click", () => set(root.classList.contains("no-files")));
  set(!matchMedia("(max-width: 60rem)").matches);
  return button;
}

/** Above the tree: what is done most, and the way to all the rest. */
export function filesHead(root: HTMLElement, commands: Command[]): void {
  const short: Record<string, string> = {
    "Add a file": "New", "Add files from this computer": "Upload", "Find in all files": "Find", "Rename this file": "Rename", "Delete this file": "Delete",
  };
  const buttons = Object.entries(short).map(([name, words]) => {
    const command = commands.find((each) => each.name === name)!;
    const button = make("button", { type: "button", className: "plain", title: command.keys ? `${name} (${shownKeys(command.keys)})` : name }, words);
    button.addEventListener("click", () => command.can?.() !== false && command.run());
    return button;
  });
  root.append(make("div", { className: "files-head" }, ...buttons));
}

/** In the bar: which version is live, and whether it is another one than this draft began as. */
export function noticeOthers(form: HTMLFormElement, editing: Editing, join: (live: number) => void): void {
  const hint = one(".bar .hint", form);
  let live = editing.version();
  const button = make("button", { type: "button", className: "plain" }, "Join the two");
  button.addEventListener("click", () => join(live));
  const show = () => {
    const isNewer = live > editing.version();
    hint.replaceChildren(`version ${Math.max(live, editing.version())} is live`);
    if (isNewer) hint.append(`. This draft began as version ${editing.version()}. `, button);
  };
  stream(editing.app).on("state", (state) => {
    live = state.version;
    // One's own deploy is told here before its answer arrives.
    if (!form.querySelector("[aria-busy]")) show();
  });
  editing.on("deployed", show);
  editing.on("changed", () => button.isConnected && show());
  show();
}

/** How fast it woke just now. */
export function tellWakes(app: string): void {
  stream(app).on("event", ({ kind, details }) => {
    const woke = document.querySelector<HTMLElement>("[data-woke]");
    if (kind !== "wake" || !woke || typeof details.ms !== "number") return;
    woke.textContent = `Woke in ${span(details.ms)}`;
    woke.hidden = false;
  });
}

/** Below the text: which file, where the cursor is, what differs. */
export function stateLine(line: HTMLElement, editing: Editing): void {
  const where = make("span", {});
  const differs = make("span", { className: "unsaved" });
  line.append(where, differs);
  const show = () => {
    const { workspace, cursor } = editing;
    const selected = cursor.selected ? `, ${cursor.selected} selected` : "";
    where.textContent = editing.view.path ? `Line ${cursor.line}, column ${cursor.column}${selected}` : workspace.active;
    const count = workspace.dirty().length;
    differs.textContent = !editing.app ? "" : count ? `${count} file${count === 1 ? "" : "s"} changed` : "nothing changed";
  };
  editing.on("cursor", show);
  editing.on("files", show);
}

/** The editor, or what stands in its place. */
export function body(host: HTMLElement, editing: Editing): void {
  let path = "";
  let held: Held | undefined;
  editing.on("shown", () => {
    const { active } = editing.workspace;
    const now = editing.workspace.read(active);
    if (active === path && now === held) return;
    [path, held] = [active, now];
    host.querySelector(".binary")?.remove();
    const view = path ? binaryView(path, editing) : make("div", { className: "binary" }, make("p", { className: "hint" }, "No file is open."));
    host.classList.toggle("has-binary", view !== null);
    if (view) host.append(view);
  });
}
