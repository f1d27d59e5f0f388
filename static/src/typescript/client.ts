// The worker, seen from the page: questions with answers, and a new worker where one hangs.

import type { Finding } from "./assistant";
import type { Answer, Calls, News, Question } from "./protocol";

export type State = "loading" | "checking" | "ready" | "stopped";

/** Without a word from a worker that has something to do, before there is a new one. */
export const SILENCE_SECONDS_MAX = 20;
/** Workers in a row that were ended or died before they were ready; then it takes a click. */
export const RESTARTS_MAX = 3;

/** What the worker is made of, so that a test can have another one. */
export interface Works { make(): Pick<Worker, "postMessage" | "terminate" | "onmessage" | "onerror">; library: string; silenceMs?: number }

/** What the page tells of itself, and hears. */
export interface Heard {
  files(): Record<string, string>;
  /** Where the types of the app's packages are, "" where there is no app. */
  types(): string;
  state(state: State): void;
  /** What went wrong with a question, which the person may want to know; "" when that is over. */
  trouble(message: string): void;
  found(path: string, findings: Finding[]): void;
}

export class Client {
  state: State = "stopped";
  #worker: ReturnType<Works["make"]> | null = null;
  #waiting = new Map<number, (answer: unknown) => void>();
  #last = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly works: Works, private readonly heard: Heard) {}

  /** A new worker, in the place of one that there may be. */
  start(): void {
    this.stop();
    this.#set("loading");
    const worker = (this.#worker = this.works.make());
    worker.onmessage = ({ data }: MessageEvent<Answer | News>) => this.#hear(data);
    worker.onerror = () => this.#again();
    void this.#begin();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = null;
    for (const done of this.#waiting.values()) done(undefined);
    this.#waiting.clear();
    this.#set("stopped");
  }

  /** The answer; undefined where there is none: the worker is not there, was ended, or could not. */
  async ask<Name extends keyof Calls>(call: Name, ...words: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]> | undefined> {
    if (this.state === "stopped" || (this.state === "loading" && call !== "start")) return undefined;
    return (await this.#post(call, words)) as ReturnType<Calls[Name]> | undefined;
  }

  /** Have the types of the app's packages again. */
  async install(): Promise<void> {
    const url = this.heard.types();
    this.heard.trouble("");
    const left = url ? await this.ask("install", url) : undefined;
    if (left?.length) this.heard.trouble(`Too large to be known here, and so any: ${left.join(", ")}.`);
  }

  // Private

  async #begin(): Promise<void> {
    const worker = this.#worker;
    const answer = await this.#post("start", [this.works.library, this.heard.files()]);
    if (this.#worker !== worker) return;
    if (answer === undefined) return this.stop();
    if (this.state === "loading") this.#set("checking");
    await this.install();
  }

  #post<Name extends keyof Calls>(call: Name, words: Parameters<Calls[Name]>): Promise<unknown> {
    const id = ++this.#last;
    return new Promise((done) => {
      this.#waiting.set(id, done);
      this.#worker?.postMessage({ id, call, words } as Question);
      this.#watch();
    });
  }

  #hear(said: Answer | News): void {
    if ("checking" in said) {
      if (!said.checking) this.#failures = 0;
      this.#set(said.checking ? "checking" : "ready");
    } else if ("found" in said) this.heard.found(said.found, said.findings);
    else {
      const done = this.#waiting.get(said.id);
      this.#waiting.delete(said.id);
      if (said.error) this.heard.trouble(said.error);
      done?.(said.answer);
    }
    this.#watch();
  }

  /** From now on it may be silent only so long. */
  #watch(): void {
    clearTimeout(this.#timer);
    const busy = this.#waiting.size > 0 || this.state === "loading" || this.state === "checking";
    if (busy) this.#timer = setTimeout(() => this.#again(), this.works.silenceMs ?? SILENCE_SECONDS_MAX * 1000);
  }

  #again(): void {
    if (++this.#failures > RESTARTS_MAX) {
      this.#failures = 0;
      this.stop();
    } else {
      this.start();
    }
  }

  #set(state: State): void {
    if (this.state === state) return;
    this.state = state;
    this.#watch();
    this.heard.state(state);
  }
}
