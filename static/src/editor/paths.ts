// Which paths a file may have, as steadyd/tree.py decides it: the server has the last word, this one says it at once.

const PATH_BYTES_MAX = 512;
const PART_BYTES_MAX = 255;
const DEPTH_MAX = 32;

const bytes = (text: string): number => new TextEncoder().encode(text).length;

/** What somebody typed, as it is written: no blanks around it, accents composed (Unicode NFC). */
export const tidy = (typed: string): string => typed.trim().replace(/^\.\//, "").normalize("NFC");

/** Why a version may not ship a file at `path`; "" if it may. */
export function problemOf(path: string): string {
  const parts = path.split("/");
  if (!path || path.endsWith("/")) return "it names no file";
  if (path.startsWith("/") || path.includes("\\")) return "it must be relative, with forward slashes";
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "it has an empty, “.” or “..” part";
  if (/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(path)) return "it has a control character or a broken one";
  if (bytes(path) > PATH_BYTES_MAX || parts.some((part) => bytes(part) > PART_BYTES_MAX)) {
    return `it is longer than ${PATH_BYTES_MAX} bytes, or a part of it than ${PART_BYTES_MAX}`;
  }
  if (parts.length > DEPTH_MAX) return `it is deeper than ${DEPTH_MAX} folders`;
  if (parts[0] === "node_modules") return "node_modules is installed from package.json, not shipped";
  if (path.normalize("NFC") !== path) return "its accents are not in composed form (Unicode NFC)";
  return "";
}

/** Names that some system takes for one are equal here. */
const fold = (path: string): string => path.toUpperCase().toLowerCase();

/** Why `path` cannot stand beside `others`: no folder can hold both everywhere. "" if it can. */
export function collision(path: string, others: Iterable<string>): string {
  const folded = fold(path);
  for (const other of others) {
    const theirs = fold(other);
    if (other === path) return `“${path}” is there already`;
    if (theirs === folded) return `“${path}” and “${other}” differ only in case`;
    if (theirs.startsWith(`${folded}/`)) return `“${path}” is a folder already`;
    if (folded.startsWith(`${theirs}/`)) return `“${other}” is a file, and “${path}” needs it as a folder`;
  }
  return "";
}

/** The folder that a path is in; "" at the top. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** The last part of a path. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
