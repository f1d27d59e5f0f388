// Builds the desk on a page: out of its text areas, which stay what they are where no script runs.

import { all, make, one } from "../lib/dom";
import { commandsOf } from "./actions";
import { body, filesHead, filesToggle, noticeOthers, stateLine, tellWakes } from "./around";
import { bindKeys } from "./commands";
import { fileDeeds } from "./deeds";
import { Deploying } from "./deploying";
import { Drafts, tabName } from "./drafts";
import { dropZone } from "./drop";
import { Editing } from "./editing";
import { keepDrafts } from "./keeping";
import { Outcome } from "./outcome";
import { mountPanes } from "./panes";
import { fileTabs } from "./tabs";
import { fileTree } from "./tree";
import { type Held, Workspace } from "./workspace";

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
  whenWanted(root, editing, () => void assist(root, editing, line));
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
