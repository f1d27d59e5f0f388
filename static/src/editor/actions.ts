// Everything that can be done at the desk, by name and by key.

import { one } from "../lib/dom";
import type { Command } from "./commands";
import type { FileDeeds } from "./deeds";
import { pick } from "./drop";
import type { Editing } from "./editing";
import { openPalette } from "./palette";
import { openSearch } from "./searching";

/** `verb` is what the button of the desk says. */
export interface Parts { editing: Editing; root: HTMLElement; sheet: HTMLElement; deploy: () => void; deeds: FileDeeds; tell: (words: string) => void; verb: string }

/** All of it; what comes first is done most. */
export function commandsOf({ editing, root, sheet, deploy, deeds, tell, verb }: Parts): Command[] {
  const active = () => editing.workspace.active;
  const some = () => active() !== "";
  const commands: Command[] = [
    { name: verb, keys: "Mod-s", run: deploy },
    { name: "Preview the draft", keys: "Mod-Enter", run: () => (editing.app ? editing.tell("preview") : deploy()) },
    { name: "Go to a file, an action or a page", keys: "Mod-k", run: () => openPalette(editing, commands) },
    { name: "Add a file", run: () => void deeds.create() },
    { name: "Add files from this computer", run: () => pick(false, editing, tell) },
    { name: "Add a folder from this computer", run: () => pick(true, editing, tell) },
    { name: "Format this file", keys: "Shift-Alt-F", can: some, run: () => editing.format(active()) },
    { name: "Find in this file", keys: "Mod-f", can: some, run: () => editing.view.find() },
    { name: "Find in all files", keys: "Mod-Shift-f", run: () => openSearch(sheet, editing, editing.view.selected()) },
    { name: "Copy a link to this draft", can: some, run: () => void import("./sharing").then(({ share }) => share(editing, tell)) },
    { name: "Rename this file", can: some, run: () => void deeds.rename(active()) },
    { name: "Delete this file", can: some, run: () => deeds.remove(active()) },
    { name: "Take back what was changed in this file", can: () => some() && editing.workspace.isDirty(active()), run: () => editing.revert(active()) },
    { name: "Close this tab", can: some, run: () => editing.close(active()) },
    { name: "Show or hide the files", run: () => one<HTMLButtonElement>(".files-toggle", root).click() },
  ];
  return commands;
}
