// What TypeScript says, as elements: always as text, since types and docs come from packages that strangers wrote.

import { make } from "../lib/dom";
import { plain } from "../lib/shown";
import type { Detail, Signature } from "./project";

/** A type with its docs. */
export function hint({ type, docs }: Pick<Detail, "type" | "docs">): HTMLElement {
  return make("div", { className: "ts-hint" }, make("code", { className: "ts-type" }, plain(type)), ...prose(docs));
}

/** A call's parameters, the present one marked. */
export function signature({ before, parameter, after, docs }: Signature): HTMLElement {
  const line = make("code", { className: "ts-type" }, plain(before), make("strong", {}, plain(parameter)), plain(after));
  return make("div", { className: "ts-hint" }, line, ...prose(docs));
}

// Private

/** Docs are Markdown; of that only blocks of code are told apart. */
function prose(docs: string): HTMLElement[] {
  return docs.split(/^```.*$/m).flatMap((part, at) => {
    const text = part.trim();
    if (!text) return [];
    return [at % 2 ? make("pre", {}, plain(text)) : make("p", {}, plain(text))];
  });
}
