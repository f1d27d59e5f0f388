// A draft of one file as a link: whoever opens it has the text in an editor, and nothing runs.

import { askFor } from "../lib/dialog";
import type { Editing } from "./editing";
import { isText } from "./workspace";

/** Characters of a link; browsers and what links are pasted into take no more for sure. */
export const LINK_CHARACTERS_MAX = 30_000;

/** The link to `text` as a new app's code; null where it is too long for one. */
export function linkOf(origin: string, text: string): string | null {
  const link = `${origin}/new#code=${encodeURIComponent(text)}`;
  return link.length <= LINK_CHARACTERS_MAX ? link : null;
}

/** The one text of the draft; null where it has more files, or none that is text. */
export function onlyText({ workspace }: Pick<Editing, "workspace">): string | null {
  const paths = workspace.paths();
  const held = workspace.read(paths[0] ?? "");
  return paths.length === 1 && isText(held) ? held : null;
}

/** Copy the link, or show it where this page may not write to the clipboard. */
export async function share(editing: Editing, tell: (words: string) => void): Promise<void> {
  const text = onlyText(editing);
  if (text === null) return tell("A link holds a draft of one file. This one has more: deploy it, and show others its page.");
  const link = linkOf(location.origin, text);
  if (link === null) return tell(`This draft is too long for a link (${LINK_CHARACTERS_MAX} characters). Deploy it, and show others its page.`);
  try {
    await navigator.clipboard.writeText(link);
    tell("The link is copied. Whoever opens it has this text in an editor; nothing runs.");
  } catch {
    await askFor("Copy this link", link, "Done", () => "");
  }
}
