// What was decided of each file that both sides changed. Pure.

import type { Content } from "../lib/desk";
import type { Clash, Files, Merged } from "./merge";

/** "ours" is what stands in the editor: joined, or as it was edited. */
export type Choice = "theirs" | "mine" | "ours";

export class Deciding {
  readonly clashes: readonly Clash[];
  readonly #choices = new Map<string, Choice>();
  readonly #texts = new Map<string, string>();

  constructor(private readonly joined: Merged) {
    this.clashes = joined.clashes;
    for (const { path, merged } of joined.clashes) if (merged !== null) this.#texts.set(path, merged);
  }

  choice(path: string): Choice | null {
    return this.#choices.get(path) ?? null;
  }

  /** The text in the editor; null where there is nothing to edit. */
  text(path: string): string | null {
    return this.#texts.get(path) ?? null;
  }

  /** The text was edited: what was decided before is not what stands there. */
  edit(path: string, text: string): void {
    if (this.#texts.get(path) === text) return;
    this.#texts.set(path, text);
    this.#choices.delete(path);
  }

  /** Decide; returns what is to stand in the editor, null where there is nothing to edit. */
  choose(path: string, choice: Choice): string | null {
    const side = choice === "ours" ? this.text(path) : this.#side(path, choice);
    if (typeof side === "string" && this.#texts.has(path)) this.#texts.set(path, side);
    this.#choices.set(path, choice);
    return this.text(path);
  }

  /** The files still to be decided. */
  open(): string[] {
    return this.clashes.map(({ path }) => path).filter((path) => !this.#choices.has(path));
  }

  /** The whole draft, once nothing is open. */
  files(): Files {
    const files = { ...this.joined.files };
    for (const { path } of this.clashes) {
      const choice = this.#choices.get(path);
      const content = choice === "ours" || choice === undefined ? this.text(path) : this.#side(path, choice);
      if (content !== null) files[path] = content;
    }
    return files;
  }

  // Private

  #side(path: string, choice: "theirs" | "mine"): Content | null {
    return this.clashes.find((clash) => clash.path === path)![choice];
  }
}
