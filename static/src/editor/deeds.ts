// What is done to files by whoever edits: it asks for names, and says what came of it.

import { ApiError } from "../lib/api";
import { askFor } from "../lib/dialog";
import type { Editing } from "./editing";
import type { Outcome } from "./outcome";
import { folderOf, nameOf, tidy } from "./paths";
import { PathError } from "./workspace";

/** Each asks first where it needs to know something. */
export interface FileDeeds {
  create(): Promise<void>;
  rename(path: string): Promise<void>;
  remove(path: string): void;
  move(path: string, folder: string): Promise<void>;
}

/** The deeds of this desk. */
export function fileDeeds(editing: Editing, outcome: Outcome): FileDeeds {
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
