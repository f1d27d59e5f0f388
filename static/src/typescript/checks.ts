// Which files are looked at next: the one that was changed first, then all others, since an error here can come from there.
// One at a time, so that a question in between waits for one file only.

export interface Clock { after(then: () => void, ms: number): () => void }

/** After the last change, so that nobody is told of half a word. */
export const PAUSE_MS = 250;

export class Checks {
  #waiting: string[] = [];
  #cancel: (() => void) | null = null;

  /** `check` looks at one file; `over` hears true when there is something to do, and false when all is done. */
  constructor(
    private readonly clock: Clock,
    private readonly check: (path: string) => void,
    private readonly over: (busy: boolean) => void,
  ) {}

  /** Something changed: look at `paths` again, in that order. */
  begin(paths: string[], pause = PAUSE_MS): void {
    this.#cancel?.();
    if (!this.#waiting.length) this.over(true);
    this.#waiting = paths;
    this.#cancel = this.clock.after(() => this.#next(), pause);
  }

  // Private

  #next(): void {
    const path = this.#waiting.shift();
    if (path !== undefined) this.check(path);
    if (this.#waiting.length) this.#cancel = this.clock.after(() => this.#next(), 0);
    else this.over(false);
  }
}
