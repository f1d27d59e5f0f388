// Where the frame goes, and where a draft failed: decided without the page.

import type { Problem } from "../lib/desk";

/** The address of what was typed, on `origin` and nowhere else: a path, or a whole address of the same origin. */
export function address(origin: string, typed: string): string {
  const text = typed.trim();
  try {
    const whole = new URL(text);
    if (whole.protocol === "http:" || whole.protocol === "https:") {
      return whole.origin === origin ? whole.href : new URL(whole.pathname + whole.search + whole.hash, origin).href;
    }
  } catch {
    // A path, most often.
  }
  // "//other" would be another host.
  return origin + new URL(`/${text.replace(/^[/\\]+/, "")}`, "http://x").href.slice("http://x".length);
}

/** What is shown of an address in the field: what comes after its origin. */
export function path(whole: string): string {
  const url = new URL(whole);
  return url.pathname + url.search + url.hash;
}

/** The places that an error of a deploy or a preview names. */
export function problems(details: Record<string, unknown>, message: string): Problem[] {
  const { file, line, column } = details;
  if (typeof file !== "string" || typeof line !== "number") return [];
  return [{ path: file, line, column: typeof column === "number" ? column : 1, message }];
}
