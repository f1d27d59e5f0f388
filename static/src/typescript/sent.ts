// What the worker knows of the draft, so that it is told of what differs and of nothing else. Pure.

export class Sent {
  #texts = new Map<string, string>();

  /** The worker is given all of it. */
  begin(texts: Record<string, string>): Record<string, string> {
    this.#texts = new Map(Object.entries(texts));
    return texts;
  }

  /** What to tell it: path → text, null for a file that is gone. It is told when this returns. */
  differs(texts: Record<string, string>): Map<string, string | null> {
    const found = new Map<string, string | null>();
    for (const path of this.#texts.keys()) if (!(path in texts)) found.set(path, null);
    for (const [path, text] of Object.entries(texts)) if (this.#texts.get(path) !== text) found.set(path, text);
    for (const [path, text] of found) {
      if (text === null) this.#texts.delete(path);
      else this.#texts.set(path, text);
    }
    return found;
  }
}

/** A text with line feeds only, as CodeMirror counts. */
export const withLineFeeds = (text: string): string => (text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text);

/** The offset in `text` of an offset that counts each line's end as one. */
export function rawOffset(text: string, offset: number): number {
  let raw = 0;
  for (let counted = 0; counted < offset; counted++) raw += text.startsWith("\r\n", raw) ? 2 : 1;
  return raw;
}
