// Somebody else deployed meanwhile: what goes together is joined, the rest is decided by whoever edits, file by file.

import { merge, type Files, type Merged } from "./merge";

/** The draft `mine` began as the version whose files are `base`; `version` with the files `theirs` is live now. */
export interface Conflict { base: Files; theirs: Files; mine: Files; version: number }

/** The draft to go on with, on top of `version`, and the paths where lines of both sides were joined; or null: nothing
 * is decided, and the draft stays what it was. Asks nothing where all goes together. */
export async function openConflict(conflict: Conflict): Promise<{ files: Files; merged: string[] } | null> {
  const joined = merge(conflict.base, conflict.theirs, conflict.mine);
  return joined.clashes.length === 0 ? joined : decide(conflict, joined);
}

// Private

async function decide(_conflict: Conflict, _joined: Merged): Promise<null> {
  return null;
}
