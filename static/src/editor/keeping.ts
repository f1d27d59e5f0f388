// The draft of this page in the browser: kept while one types, offered again, dropped once it is live.

import { make } from "../lib/dom";
import { type Drafts, isOpen, type Kept } from "./drafts";
import type { Editing } from "./editing";
import { listed } from "./loading";
import type { Outcome } from "./outcome";

/** From the last key to when it is kept. */
const CALM_MS = 400;

/** `app` is what it is kept as the draft of: an app, or on the home page what was opened there. */
export async function keepDrafts(editing: Editing, drafts: Drafts, tab: string, outcome: Outcome, app = editing.app): Promise<void> {
  const { workspace } = editing;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let warned = false;
  const keep = () => {
    clearTimeout(timer);
    timer = undefined;
    const left = drafts.keep(app, tab, workspace.draft(), Date.now());
    if (left?.length === 0 || warned) return;
    warned = true;
    const what = left ? `${left.join(", ")} ${left.length === 1 ? "is" : "are"} too large for it` : "it keeps nothing for this site";
    outcome.say("note", [`This browser does not keep all of your draft: ${what}. Deploy, or it is lost with the page.`]);
  };
  editing.on("changed", () => {
    clearTimeout(timer);
    timer = setTimeout(keep, CALM_MS);
  });
  // Nothing is typed into a page that is hidden: what is due is kept before it may be gone.
  document.addEventListener("visibilitychange", () => timer !== undefined && keep());
  addEventListener("pagehide", () => timer !== undefined && keep());
  editing.on("deployed", () => {
    clearTimeout(timer);
    timer = undefined;
    drafts.drop(app, tab);
  });
  await offer(editing, drafts, tab, outcome, app);
}

// Private

/** The draft of this tab is open again at once; one of a tab that is closed is offered. */
async function offer(editing: Editing, drafts: Drafts, tab: string, outcome: Outcome, app: string): Promise<void> {
  for (const { tab: whose, draft } of drafts.of(app)) {
    const isMine = whose === tab;
    if (!isMine && (await isOpen(whose, navigator.locks))) continue;
    const live = editing.version();
    const put = async () => {
      await restore(editing, draft);
      if (!isMine) drafts.drop(app, whose);
    };
    const keep = async () => {
      outcome.clear();
      if (!isMine) await put();
    };
    const drop = () => {
      outcome.clear();
      drafts.drop(app, whose);
      if (isMine) for (const path of editing.workspace.dirty()) editing.revert(path);
      if (editing.version() !== live) location.reload();
    };
    if (isMine) await put();
    outcome.say("note", [described(draft, isMine)], [{ words: "Keep it", go: true, run: () => void keep() }, { words: "Throw it away", run: drop }]);
    return;
  }
}

/** Open a draft, on top of the version that it was based on where that is not live any more. */
async function restore(editing: Editing, draft: Kept): Promise<void> {
  const { app, workspace } = editing;
  if (app && draft.version !== workspace.version) {
    const base = await listed(app, draft.version).catch(() => null);
    // Its version is not kept any more: then it lies on the live one.
    if (base) editing.rebase(draft.version, base);
  }
  workspace.restore(draft);
  editing.refresh();
  if (workspace.active) await editing.open(workspace.active);
}

function described(draft: Kept, isOpen: boolean): HTMLElement {
  const at = new Date(draft.at);
  const today = at.toDateString() === new Date().toDateString();
  const when = at.toLocaleString(undefined, { ...(!today && { dateStyle: "medium" as const }), timeStyle: "short" });
  const count = Object.keys(draft.changes).length;
  const based = draft.version ? `, based on version ${draft.version}` : "";
  const left = draft.left.length ? ` Too large to be kept: ${draft.left.join(", ")}.` : "";
  return make("p", {}, `${isOpen ? "Your draft" : "There is a draft"} from ${when}${based}: ${count} file${count === 1 ? "" : "s"} changed.${left}`);
}
