// TypeScript beside the editor, once it is there.

import type { Draft, Edit } from "../typescript/assistant";
import { UNREAD } from "../typescript/protocol";
import { showText } from "../typescript/reading";
import { rawOffset, withLineFeeds } from "../typescript/sent";
import { startAssistant } from "../typescript/start";
import type { Editing } from "./editing";
import { isScript, suffix } from "./languages";
import { isAbsent, isText } from "./workspace";

/** Files that are loaded because another one may import them; the others come when they are opened. */
export const BROUGHT_MAX = 200;
/** Bytes of one of them. */
export const BROUGHT_BYTES_MAX = 512 << 10;
/** Characters of a file that the worker reads. */
export const READ_CHARACTERS_MAX = 2 << 20;

/** Start it for the draft of this page; `line` shows where it stands. */
export function attachAssistant(editing: Editing, worker: string, library: string, line: HTMLElement): void {
  const { workspace } = editing;
  const draft: Draft = {
    app: editing.app,
    version: () => editing.version(),
    texts: () => textsOf(editing),
    show: (path, at, column) => editing.show(path, at, column),
    showText: (name, text, at) => void showText(name, text, at),
    edit: (path, edits) => editing.edit(path, raw(editing, path, edits)),
  };
  const assistant = startAssistant(draft, worker, library);
  editing.view.extend((path) => assistant.extension(path));
  editing.format = (path) => void format(path);
  const format = async (path: string) => {
    const text = workspace.read(path);
    if (!isText(text)) return;
    const edits = await assistant.format(path, withLineFeeds(text));
    if (edits && workspace.read(path) === text) draft.edit(path, edits);
  };
  let version = editing.version();
  editing.on("changed", () => {
    assistant.changed();
    if (editing.version() !== version) assistant.deployed();
    version = editing.version();
  });
  editing.on("shown", () => assistant.changed()); // a file that was not here is, once it is opened
  assistant.onFindings(() => {
    const wrong = [...assistant.findings()].map(([path, found]): [string, number] => [path, found.filter(({ severity }) => severity === "error").length]);
    const now = new Map(wrong.filter(([, count]) => count > 0));
    if (String([...now]) === String([...editing.mistakes])) return;
    editing.mistakes = now;
    editing.tell("files");
  });
  line.append(assistant.status);
  void bring(editing).then(() => assistant.changed());
}

// Private

/** Every file; a script that is not here, or is too large to be read for what others import, by its name only. */
function textsOf({ workspace }: Editing): Record<string, string> {
  const held = workspace.paths().map((path): [string, string] => {
    const content = workspace.read(path);
    if (isText(content) && content.length <= READ_CHARACTERS_MAX) return [path, withLineFeeds(content)];
    return [isScript(path) ? path + UNREAD : path, ""];
  });
  return Object.fromEntries(held);
}

/** Edits of a file that is not open, which counts the ends of its lines as they are. */
function raw({ workspace, view }: Editing, path: string, edits: Edit[]): Edit[] {
  const text = workspace.read(path);
  if (view.has(path) || !isText(text) || !text.includes("\r\n")) return edits;
  return edits.map(({ from, to, insert }) => ({ from: rawOffset(text, from), to: rawOffset(text, to), insert: insert.replaceAll("\n", "\r\n") }));
}

/** Have the scripts here that the page did not bring along; one that does not come is missed where it is imported. */
async function bring(editing: Editing): Promise<void> {
  const { workspace } = editing;
  const wanted = workspace.paths().filter((path) => {
    const held = workspace.read(path);
    return isAbsent(held) && held.size <= BROUGHT_BYTES_MAX && (isScript(path) || suffix(path) === "json");
  });
  for (const path of wanted.slice(0, BROUGHT_MAX)) await editing.bring(path).catch(() => undefined);
}
