// The mark beside a file's name that says how many problems TypeScript finds in it.

import { make } from "../lib/dom";
import type { Editing } from "./editing";

/** The mark, or nothing. */
export function mistakes(path: string, { mistakes: found }: Editing): HTMLElement[] {
  const count = found.get(path);
  if (!count) return [];
  const words = `${count} ${count === 1 ? "problem" : "problems"}`;
  return [make("span", { className: "mistakes", title: words }, String(count), make("span", { className: "unseen" }, words.slice(String(count).length)))];
}
