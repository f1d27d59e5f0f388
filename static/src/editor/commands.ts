// What can be done on the page, by name: the palette lists it, keys call it.

export interface Command {
  name: string;
  /** As `Mod-Shift-F`; Mod is Ctrl, and Cmd on a Mac. */
  keys?: string;
  /** Whether it makes sense now. */
  can?: () => boolean;
  run: () => void;
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** Keys as people read them. */
export function shownKeys(keys: string): string {
  const parts = keys.split("-").map((part) => (part === "Mod" ? (isMac ? "⌘" : "Ctrl") : part.length === 1 ? part.toUpperCase() : part));
  return parts.join(isMac ? "" : " ");
}

/** Whether a key press is `keys`. */
export function isPressed(event: KeyboardEvent, keys: string): boolean {
  const parts = keys.split("-");
  const mod = isMac ? event.metaKey : event.ctrlKey;
  const key = parts.at(-1)!;
  return (
    event.key.toLowerCase() === key.toLowerCase() &&
    mod === parts.includes("Mod") && event.shiftKey === parts.includes("Shift") && event.altKey === parts.includes("Alt")
  );
}

/** Whether what has the focus means that key itself: a pane's form is sent by Mod-Enter. */
function isOwned(event: KeyboardEvent, keys: string): boolean {
  return event.target instanceof Element && event.target.closest<HTMLElement>("[data-own-key]")?.dataset.ownKey === keys;
}

/** Have keys call their commands, wherever the focus is. */
export function bindKeys(commands: readonly Command[]): void {
  document.addEventListener(
    "keydown",
    (event) => {
      if (document.querySelector("dialog[open]")) return;
      const found = commands.find((command) => command.keys && isPressed(event, command.keys));
      if (!found || isOwned(event, found.keys!)) return;
      event.preventDefault();
      event.stopPropagation();
      if (found.can?.() !== false) found.run();
    },
    true,
  );
}
