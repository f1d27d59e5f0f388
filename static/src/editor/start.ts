// Builds the desk on a page: out of its text areas, which stay what they are where no script runs.

import { PathError, type Held, Workspace } from "./workspace";
import { ApiError } from "../lib/api";
import { askFor } from "../lib/dialog";
import { all, make, one } from "../lib/dom";
import { span } from "../lib/shown";
import { stream } from "../lib/stream";
import { binaryView } from "./binary";
import { bindKeys, type Command, shownKeys } from "./commands";
import { Deploying } from "./deploying";
import { Drafts, tabName } from "./drafts";
import { dropZone, pick } from "./drop";
import { Editing } from "./editing";
import { keepDrafts } from "./keeping";
import { deskIsThere } from "./opened";
import { Outcome } from "./outcome";
import { mountPanes } from "./panes";
import { folderOf, nameOf, tidy } from "./paths";
import { fileTabs } from "./tabs";
import { fileTree } from "./tree";

/** When the palette is brought, after the page. */
const PALETTE_MS = 1_000;

/** Turn `root` into a desk. */
export function startDesk(root: HTMLElement): void {
  const form = one<HTMLFormElement>("form.editor", root);
  const workspace = new Workspace(Number(root.dataset.version), filesOf(root));
  const bench = make("div", { className: "bench" });
  const files = make("nav", { className: "files", ariaLabel: "Files" });
  const tabs = make("nav", { className: "open-files", ariaLabel: "Open files" });
  const host = make("div", { className: "code-host" });
  const line = make("div", { className: "state-line" });
  const sheet = make("div", { className: "writing" }, tabs, host, line);
  const editing = new Editing(root.dataset.app ?? "", root.dataset.url ?? "", workspace, host, []);
  const outcomes = make("div", { className: "outcomes" });
  bench.append(files, sheet);
  form.before(bench, outcomes);
  const outcome = new Outcome(outcomes);
  const tell = (words: string) => outcome.say("note", [words]);
  const button = one<HTMLButtonElement>(".bar .go", form);
  const deploying = new Deploying(editing, outcome, button, root.dataset.remix);
  const name = form.elements.namedItem("name") as HTMLInputElement | null;
  const deploy = () => void deploying.run(name?.value.trim());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    deploy();
  }, true);
  const deeds = fileDeeds(editing, outcome);
  const commands = commandsOf({ editing, root, sheet, deploy, deeds, tell, verb: button.textContent ?? "Deploy" });
  tabs.append(filesToggle(root, files));
  fileTabs(tabs, editing);
  filesHead(files, commands);
  fileTree(files, editing, deeds);
  stateLine(line, editing);
  body(host, editing);
  bindKeys(commands);
  dropZone(editing, tell);
  one("fieldset.tabs, .first-file", form).remove();
  root.classList.add("works");
  fill(root);
  if (editing.app) {
    noticeOthers(form, editing, (live) => void deploying.join(live));
    tellWakes(editing.app);
  }
  const panes = root.querySelector<HTMLElement>("[data-panes]");
  if (panes) mountPanes(panes, editing, "preview");
  const first = root.dataset.show ?? "";
  editing.show(workspace.has(first) ? first : (workspace.paths().find((path) => /^index\./.test(path)) ?? workspace.paths()[0] ?? ""));
  void tabName(sessionStorage, navigator.locks).then((tab) => keepDrafts(editing, new Drafts(localStorage), tab, outcome, root.dataset.draft));
  deskIsThere(editing);
  whenWanted(root, editing, () => void assist(root, editing, line));
  // Who presses the palette's keys goes on typing at once.
  setTimeout(() => void import("./palette"), PALETTE_MS);
}

// Private

/** Have the desk end where the window does. */
function fill(root: HTMLElement): void {
  const measure = () => root.style.setProperty("--above", `${Math.round(root.getBoundingClientRect().top + scrollY) + 12}px`);
  new ResizeObserver(measure).observe(one("main"));
  addEventListener("resize", measure);
}

/** What the page brought along: texts in text areas, and of the other files what they are called. */
function filesOf(root: HTMLElement): Map<string, Held> {
  const version = Number(root.dataset.version);
  const files = new Map<string, Held>();
  for (const area of all<HTMLTextAreaElement>("textarea[data-path]", root)) {
    const { path, size } = area.dataset;
    // A text area knows line feeds only: what has other ends of lines is loaded as it is.
    files.set(path!, size ? { from: path!, version, size: Number(size) } : area.defaultValue);
  }
  for (const item of all("[data-other]", root)) {
    const { other, size } = item.dataset;
    const { remix, remixVersion } = root.dataset;
    files.set(other!, remix ? { from: other!, version: Number(remixVersion), size: Number(size), of: remix } : { from: other!, version, size: Number(size) });
  }
  return files;
}

interface FileDeeds {
  create(): Promise<void>;
  rename(path: string): Promise<void>;
  remove(path: string): void;
  move(path: string, folder: string): Promise<void>;
}

function fileDeeds(editing: Editing, outcome: Outcome): FileDeeds {
  const { workspace } = editing;
  const tried = async (work: () => Promise<void> | void) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof PathError || error instanceof ApiError)) throw error;
      outcome.say("failed", [error.message]);
    }
  };
  const check = (from: string) => (typed: string) =>
    tidy(typed) === from ? "" : workspace.within(from).map((path) => workspace.refusal(tidy(typed) + path.slice(from.length), workspace.within(from))).find(Boolean) ?? "";
  return {
    async create() {
      const folder = folderOf(workspace.active);
      const path = await askFor("Path of the new file", folder && `${folder}/`, "Add it", (typed) => workspace.refusal(tidy(typed)));
      if (path !== null) editing.create(tidy(path), "");
      editing.view.focus();
    },
    async rename(path) {
      const to = await askFor(`Another path for ${path}`, path, "Rename", check(path));
      if (to !== null) await tried(() => editing.rename(path, tidy(to)));
    },
    remove(path) {
      const count = workspace.within(path).length;
      const undo = editing.remove(path);
      const put = () => {
        undo();
        outcome.clear();
      };
      outcome.say("note", [`${path} ${count > 1 ? `with ${count} files ` : ""}is out of the draft. The live version has it until you deploy.`], [{ words: "Put it back", run: put }]);
    },
    move: (path, folder) => tried(() => editing.rename(path, folder ? `${folder}/${nameOf(path)}` : nameOf(path))),
  };
}

interface Parts { editing: Editing; root: HTMLElement; sheet: HTMLElement; deploy: () => void; deeds: FileDeeds; tell: (words: string) => void; verb: string }

function commandsOf({ editing, root, sheet, deploy, deeds, tell, verb }: Parts): Command[] {
  const active = () => editing.workspace.active;
  const some = () => active() !== "";
  const commands: Command[] = [
    { name: verb, keys: "Mod-s", run: deploy },
    { name: "Preview the draft", keys: "Mod-Enter", run: () => (editing.app ? editing.tell("preview") : deploy()) },
    { name: "Go to a file, an action or a page", keys: "Mod-k", run: () => void import("./palette").then(({ openPalette }) => openPalette(editing, commands)) },
    { name: "Add a file", run: () => void deeds.create() },
    { name: "Add files from this computer", run: () => pick(false, editing, tell) },
    { name: "Add a folder from this computer", run: () => pick(true, editing, tell) },
    { name: "Format this file", keys: "Shift-Alt-F", can: some, run: () => editing.format(active()) },
    { name: "Find in this file", keys: "Mod-f", can: some, run: () => editing.view.find() },
    { name: "Find in all files", keys: "Mod-Shift-f", run: () => void import("./searching").then(({ openSearch }) => openSearch(sheet, editing, editing.view.selected())) },
    { name: "Copy a link to this draft", can: some, run: () => void import("./sharing").then(({ share }) => share(editing, tell)) },
    { name: "Rename this file", can: some, run: () => void deeds.rename(active()) },
    { name: "Delete this file", can: some, run: () => deeds.remove(active()) },
    { name: "Take back what was changed in this file", can: () => some() && editing.workspace.isDirty(active()), run: () => editing.revert(active()) },
    { name: "Close this tab", can: some, run: () => editing.close(active()) },
    { name: "Show or hide the files", run: () => one<HTMLButtonElement>(".files-toggle", root).click() },
  ];
  return commands;
}

/** Shows and hides the tree, which a phone has no place for. */
function filesToggle(root: HTMLElement, files: HTMLElement): HTMLElement {
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
function filesHead(root: HTMLElement, commands: Command[]): void {
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
function noticeOthers(form: HTMLFormElement, editing: Editing, join: (live: number) => void): void {
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
function tellWakes(app: string): void {
  stream(app).on("event", ({ kind, details }) => {
    const woke = document.querySelector<HTMLElement>("[data-woke]");
    if (kind !== "wake" || !woke || typeof details.ms !== "number") return;
    woke.textContent = `Woke in ${span(details.ms)}`;
    woke.hidden = false;
  });
}

/** Below the text: which file, where the cursor is, what differs. */
function stateLine(line: HTMLElement, editing: Editing): void {
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
function body(host: HTMLElement, editing: Editing): void {
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

/** Not before the page is usable; on the home page, where most only look, not before somebody is at the desk. */
function whenWanted(root: HTMLElement, editing: Editing, then: () => void): void {
  if (!editing.app) root.addEventListener("focusin", then, { once: true });
  else if ("requestIdleCallback" in window) requestIdleCallback(then);
  else setTimeout(then);
}

/** TypeScript comes once the page is usable; without it the editor is the same with less in it. */
async function assist(root: HTMLElement, editing: Editing, line: HTMLElement): Promise<void> {
  const { worker, library } = root.dataset;
  if (!worker || !library) return;
  const { attachAssistant } = await import("./assisting");
  attachAssistant(editing, worker, library, line);
}
