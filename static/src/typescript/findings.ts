// What TypeScript says of a file, as it is told here. A package that is not installed yet is no mistake: a deploy installs
// it. Neither is what follows from having no types of it, nor what only Bun can import. Pure.

import ts from "typescript";
import type { Finding } from "./assistant";
import { APP } from "./options";
import { UNREAD } from "./protocol";

/** Characters of one finding. */
export const MESSAGE_CHARACTERS_MAX = 1_000;

/** No module of that name, or none with types; and the module that JSX is made with. */
const NOT_FOUND = new Set([2307, 2792, 2882]);
const UNTYPED = 7016;
const JSX_MODULE = new Set([2874, 2875]);
const JSX_ELEMENTS = 7026;
/** “… implicitly has an any type”, where what it is comes from a package without types. */
const IMPLICIT_ANY = new Set([7005, 7006, 7018, 7019, 7031, 7034, 7053]);

const SEVERITIES: Record<ts.DiagnosticCategory, Finding["severity"]> = {
  [ts.DiagnosticCategory.Error]: "error",
  [ts.DiagnosticCategory.Warning]: "warning",
  [ts.DiagnosticCategory.Suggestion]: "info",
  [ts.DiagnosticCategory.Message]: "info",
};

/** One diagnostic as findings: one or none. `has` says whether a file or folder is there; `all` are those of its file. */
export function finding(
  diagnostic: ts.Diagnostic, path: string, has: (path: string) => boolean, all: readonly ts.Diagnostic[] = [diagnostic],
): Finding[] {
  const { file, start, length, category, code, messageText } = diagnostic;
  const from = start ?? 0;
  const at = file?.getLineAndCharacterOfPosition(from) ?? { line: 0, character: 0 };
  const place = { path, line: at.line + 1, column: at.character + 1, from, to: from + (length ?? 0) };
  if (code === UNTYPED || (untyped(all) && (IMPLICIT_ANY.has(code) || code === JSX_ELEMENTS))) return [];
  if (NOT_FOUND.has(code) || JSX_MODULE.has(code)) {
    const name = specifier(diagnostic);
    const installs = missing(name, path, has);
    if (installs === null) return [];
    if (installs) return [{ ...place, severity: "info", message: `“${installs}” is installed when you deploy.` }];
  }
  const message = ts.flattenDiagnosticMessageText(messageText, "\n").slice(0, MESSAGE_CHARACTERS_MAX);
  return [{ ...place, severity: SEVERITIES[category], message }];
}

/** The package that a deploy would install for an import of `name`; null where the file is there all the same (Bun
 * imports any), or the package is and brings no types; "" where the import is a mistake. */
export function missing(name: string, path: string, has: (path: string) => boolean): string | null {
  if (/^\.{0,2}\//.test(name)) return isThere(resolve(`${APP}/${path}`, name), has) ? null : "";
  const bare = packageOf(name);
  if (!bare) return "";
  if (!has(`${APP}/node_modules/${bare}`)) return bare;
  return has(`${APP}/node_modules/${bare}/${UNTYPED_MARK}`) ? null : "";
}

/** A file that the worker puts into an installed package that has no types of its own. */
export const UNTYPED_MARK = ".untyped";

const ENDINGS = ["", ".ts", ".tsx", ".js", ".jsx", ".mts", ".mjs", "/index.ts", "/index.tsx", "/index.js"];

/** `@scope/name` of `@scope/name/part`; "" of what no package can be called. */
export function packageOf(name: string): string {
  return /^(?:@[a-z0-9-~][\w.~-]*\/)?[a-z0-9-~][\w.~-]*(?=\/|$)/i.exec(name)?.[0] ?? "";
}

// Private

function isThere(path: string, has: (path: string) => boolean): boolean {
  return has(path) || ENDINGS.some((ending) => has(path + ending + UNREAD));
}

function untyped(all: readonly ts.Diagnostic[]): boolean {
  return all.some(({ code }) => NOT_FOUND.has(code) || JSX_MODULE.has(code) || code === UNTYPED);
}

/** What is imported, as it says in the file; the module of JSX stands in the message only. */
function specifier({ file, start, length, messageText }: ts.Diagnostic): string {
  const written = file && start !== undefined ? file.text.slice(start, start + (length ?? 0)) : "";
  const quoted = /^["'`](.*)["'`]$/s.exec(written) ?? /'([^']+)'/.exec(ts.flattenDiagnosticMessageText(messageText, "\n"));
  return quoted?.[1] ?? "";
}

function resolve(from: string, name: string): string {
  const parts = name.startsWith("/") ? [] : from.split("/").slice(0, -1);
  for (const part of name.replace(/[?#].*$/, "").split("/")) {
    if (part === "..") parts.pop();
    else if (part && part !== ".") parts.push(part);
  }
  return parts.join("/");
}
