// For other parts of a page: the desk, as soon as it is there.

import type { Content } from "../lib/desk";
import type { Editing } from "./editing";

let found: (editing: Editing) => void;

/** The page's desk. */
export const desk: Promise<Editing> = new Promise((done) => (found = done));

/** Tell of it, once. */
export const deskIsThere = (editing: Editing): void => found(editing);

/** Open files in the editor in the place of all that is there; nothing runs. The first, or `shown`, is in front. */
export async function openFiles(files: Record<string, Content>, shown = Object.keys(files)[0] ?? ""): Promise<void> {
  const editing = await desk;
  const { workspace } = editing;
  editing.rebase(workspace.version, workspace.originals(), files);
  editing.workspace.open = [];
  editing.show(shown);
}
