// Somebody else deployed meanwhile: what goes together is joined, the rest is decided by whoever edits, file by file.

import { make } from "../lib/dom";
import { compare, type Comparison } from "./comparing";
import { Deciding, type Choice } from "./deciding";
import { merge, type Clash, type Files } from "./merge";

/** The draft `mine` began as the version whose files are `base`; `version` with the files `theirs` is live now. */
export interface Conflict { base: Files; theirs: Files; mine: Files; version: number }

/** The draft to go on with, on top of `version`, and the paths where lines of both sides were joined; or null: nothing
 * is decided, and the draft stays what it was. Asks nothing where all goes together. */
export async function openConflict(conflict: Conflict): Promise<{ files: Files; merged: string[] } | null> {
  const joined = merge(conflict.base, conflict.theirs, conflict.mine);
  if (!joined.clashes.length) return joined;
  const deciding = new Deciding(joined);
  return (await decide(deciding, conflict.version)) ? { files: deciding.files(), merged: joined.merged } : null;
}

// Private

const WORDS: Record<Choice, string> = { theirs: "theirs", mine: "mine", ours: "edited" };

/** Ask about each file; whether all was decided. */
function decide(deciding: Deciding, version: number): Promise<boolean> {
  const { dialog, files, sheet, use, leave } = frame(deciding, version);
  let shown: Comparison | null = null;
  let now = "";
  const mark = () => {
    const open = deciding.open().length;
    use.disabled = open > 0;
    use.textContent = open ? `${open} ${open === 1 ? "file" : "files"} to decide` : "Use this draft";
    for (const button of files.querySelectorAll<HTMLButtonElement>("button")) {
      const choice = deciding.choice(button.dataset.path!);
      button.querySelector(".hint")!.textContent = choice ? WORDS[choice] : "to decide";
      if (button.dataset.path === now) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  };
  const show = async (clash: Clash) => {
    shown?.destroy();
    shown = null;
    now = clash.path;
    const choose = (choice: Choice) => {
      const text = deciding.choose(clash.path, choice);
      if (text !== null) shown?.set(text);
      mark();
      const next = deciding.clashes.find(({ path }) => path === deciding.open()[0]);
      if (next && next.path !== clash.path) void show(next);
      else use.focus();
    };
    const box = make("div", { className: "compared" });
    const step = (forward: boolean) => shown?.step(forward);
    sheet.replaceChildren(verbs(clash, choose, step), sides(clash), box);
    mark();
    if (clash.merged === null || typeof clash.theirs !== "string") return;
    const edited = (text: string) => {
      deciding.edit(clash.path, text);
      mark();
    };
    const made = await compare(box, clash.path, clash.theirs, deciding.text(clash.path)!, edited);
    if (now === clash.path && box.isConnected) shown = made;
    else made.destroy();
  };
  for (const clash of deciding.clashes) files.append(make("li", {}, fileButton(clash, () => void show(clash))));
  return new Promise((done) => {
    let decided = false;
    use.addEventListener("click", () => {
      decided = true;
      dialog.close();
    });
    leave.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      shown?.destroy();
      dialog.remove();
      done(decided);
    });
    document.body.append(dialog);
    dialog.showModal();
    void show(deciding.clashes[0]!);
    files.querySelector("button")?.focus();
  });
}

function frame(deciding: Deciding, version: number) {
  const count = deciding.clashes.length;
  const files = make("ul", { className: "clashes" });
  const sheet = make("div", { className: "clash" });
  const use = make("button", { type: "button", className: "go" });
  const leave = make("button", { type: "button" }, "Decide later");
  const title = make("h2", { id: "conflict-title" }, `Version ${version} went live meanwhile`);
  const words = `You and whoever deployed it changed ${count === 1 ? "one file" : `${count} files`} in the same places. All other changes are joined.`;
  const dialog = make(
    "dialog", { className: "card conflict" },
    make("div", { className: "conflict-head" }, title, make("p", { className: "hint" }, words)), make("div", { className: "clash-desk" }, files, sheet),
    make("div", { className: "choices" }, use, leave),
  );
  dialog.setAttribute("aria-labelledby", title.id);
  return { dialog, files, sheet, use, leave };
}

function fileButton({ path }: Clash, show: () => void): HTMLButtonElement {
  const button = make("button", { type: "button", data: { path } }, make("span", {}, path), " ", make("span", { className: "hint" }));
  button.addEventListener("click", show);
  return button;
}

/** What can be done with one file, and the way from change to change. */
function verbs({ merged }: Clash, choose: (choice: Choice) => void, step: (forward: boolean) => void): HTMLElement {
  const verb = (words: string, run: () => void, label = words) => {
    const button = make("button", { type: "button", ariaLabel: label }, words);
    button.addEventListener("click", run);
    return button;
  };
  const all = [verb("Take theirs", () => choose("theirs")), verb("Keep mine", () => choose("mine"))];
  if (merged === null) return make("div", { className: "clash-verbs" }, ...all);
  all.push(verb("Use it as it stands", () => choose("ours")));
  const steps = [verb("↑", () => step(false), "Change before"), verb("↓", () => step(true), "Next change")];
  return make("div", { className: "clash-verbs" }, ...all, make("span", { className: "steps" }, ...steps));
}

/** What stands where; in words where there is nothing to compare. */
function sides({ merged, theirs, mine }: Clash): HTMLElement {
  if (merged !== null) return make("p", { className: "hint sides" }, make("span", {}, "Theirs"), make("span", {}, "Your draft: edit it here"));
  if (theirs === null) return make("p", {}, "They deleted this file, and you changed it. To keep mine is to have it again.");
  if (mine === null) return make("p", {}, "You deleted this file, and they changed it. To keep mine is to delete it.");
  return make("p", {}, "Both sides changed this file, and it is no text: one of them it must be.");
}
