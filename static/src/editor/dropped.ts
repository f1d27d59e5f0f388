// Files from outside, as they are dropped or picked: which of them become files of the app, and under which path. Pure.

import type { Content } from "../lib/desk";
import { problemOf, tidy } from "./paths";

/** Bytes of everything that is taken at once; more is for `steadyd deploy`. */
export const DROPPED_BYTES_MAX = 20 << 20;
/** Files that are taken at once, as many as a version may have. */
export const DROPPED_FILES_MAX = 1_000;

/** What came of it. `left` says of each path that was not taken why. */
export interface Taken { files: Record<string, Content>; left: Record<string, string> }

const LEFT: [RegExp, string][] = [
  [/(^|\/)node_modules\//, "it is installed from package.json"],
  [/(^|\/)\.git\//, "the history stays with you"],
  [/(^|\/)(\.DS_Store|Thumbs\.db|__MACOSX\/.*)$/, "it is none of the app's"],
  [/(^|\/)\.env(\.[^/]*)?$/, "secrets are variables: put them into Settings"],
];
const ENTRIES = /^(index\.([mc]?[tj]sx?|html)|package\.json)$/;

/** Path → bytes, to what the editor takes. One folder around everything, with an app in it, is taken off. */
export function arrange(found: Map<string, Uint8Array>): Taken {
  const root = commonRoot([...found.keys()]);
  const taken: Taken = { files: {}, left: {} };
  let bytes = 0;
  for (const [given, content] of found) {
    const path = tidy(given.startsWith(root) ? given.slice(root.length) : given);
    const why = reason(path, content, Object.keys(taken.files).length, bytes);
    if (why) taken.left[path] = why;
    else {
      taken.files[path] = contentOf(content);
      bytes += content.length;
    }
  }
  return taken;
}

/** Bytes as the desk knows them: text where they are UTF-8 without NUL, else base64. */
export function contentOf(bytes: Uint8Array): Content {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // Not text.
  }
  return { base64: base64(bytes) };
}

/** The bytes of a file. */
export function bytesOf(content: Content): Uint8Array<ArrayBuffer> {
  if (typeof content === "string") return new TextEncoder().encode(content);
  return Uint8Array.from(atob(content.base64), (char) => char.charCodeAt(0));
}

// Private

function reason(path: string, content: Uint8Array, files: number, bytes: number): string {
  const rule = LEFT.find(([pattern]) => pattern.test(path));
  if (rule) return rule[1];
  if (isDatabase(content)) return "it is a database: data is no file of a version";
  if (files >= DROPPED_FILES_MAX) return `more than ${DROPPED_FILES_MAX} files at once`;
  if (bytes + content.length > DROPPED_BYTES_MAX) return `more than ${DROPPED_BYTES_MAX >> 20} MiB at once: use steadyd deploy`;
  return problemOf(path);
}

function isDatabase(content: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(content.subarray(0, 16)) === "SQLite format 3\0";
}

/** The folder that all paths are in, with its slash, if an app begins right below it; else "". */
function commonRoot(paths: string[]): string {
  const slash = paths[0]?.indexOf("/") ?? -1;
  if (slash < 0) return "";
  const root = paths[0]!.slice(0, slash + 1);
  const inside = paths.filter((path) => !path.startsWith("__MACOSX/"));
  const isRoot = inside.every((path) => path.startsWith(root)) && inside.some((path) => ENTRIES.test(path.slice(root.length)));
  return isRoot ? root : "";
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
