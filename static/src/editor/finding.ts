// Text in all files of the draft. Pure.

/** Places that are shown; the rest is counted. */
export const PLACES_MAX = 500;
/** Characters of a line that are shown around a place. */
const SHOWN = 160;

/** One place: lines and columns count from 1. `before`, `hit` and `after` are its line. */
export interface Place { path: string; line: number; column: number; before: string; hit: string; after: string }

/** Every place of `wanted` in `texts`, by path and line, up to PLACES_MAX; `more` is how many are not among them. */
export function findAll(texts: Record<string, string>, wanted: string, withCase: boolean): { places: Place[]; more: number } {
  const places: Place[] = [];
  let more = 0;
  if (!wanted) return { places, more };
  const pattern = new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), withCase ? "g" : "gi");
  for (const path of Object.keys(texts).sort()) {
    for (const [at, line] of texts[path]!.split(/\r?\n/).entries()) {
      for (const found of line.matchAll(pattern)) {
        if (places.length >= PLACES_MAX) more++;
        else places.push(place(path, at + 1, line, found));
      }
    }
  }
  return { places, more };
}

// Private

function place(path: string, line: number, text: string, found: RegExpExecArray): Place {
  const end = found.index + found[0].length;
  const before = text.slice(Math.max(0, found.index - SHOWN / 2), found.index).trimStart();
  return { path, line, column: found.index + 1, before, hit: found[0], after: text.slice(end, end + SHOWN) };
}
