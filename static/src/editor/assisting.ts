// TypeScript beside the editor, once it is there.

import type { Editing } from "./editing";

/** Start it for the draft of this page. */
export function attachAssistant(_editing: Editing, _worker: string, _library: string, _line: HTMLElement): void {
  // Its worker is not built yet.
}
