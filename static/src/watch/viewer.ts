// The log viewer: a stretch of the log in memory (book.ts), of that so many rows in the page (window.ts), older and newer
// lines from the server as one scrolls, and what comes live at the end.
//
// It follows only while one looks at the end, and moves no scroll but its own. What comes is drawn once a frame; what came
// too fast, or while one looked elsewhere, is counted and can be read.

import { call, ofApp } from "../lib/api";
import { make } from "../lib/dom";
import { size } from "../lib/shown";
import { stream, type Stream, type Told } from "../lib/stream";
import { Book, LINES_MAX, type Page } from "./book";
import { plainText, row, type Manner } from "./row";
import { earlier, first, last, later, overlap, within, type Window } from "./window";

const PAGE_LINES = 500;
const EDGE_PX = 400; // so near to an edge more rows come
const END_PX = 4;
const FEW = 20; // lines: a search that found less says how far it looked
const BEGIN = "0-0"; // before every place

/** Which lines: a search, times in ISO 8601, and where to begin; the newest if nothing is said. */
export interface Wanted { q?: string; since?: string; until?: string; version?: string; source?: string; at?: string }

export class Viewer {
  readonly element: HTMLElement;
  following = false;
  private readonly box: HTMLElement;
  private readonly rows = make("div", { className: "log-rows" });
  private readonly above = make("p", { className: "edge" });
  private readonly below = make("p", { className: "edge" });
  private readonly more = make("button", { type: "button", className: "to-end", hidden: true });
  private readonly book = new Book();
  private readonly stream: Stream;
  private wanted: Wanted = {};
  private manner: Manner = { utc: false, marked: "" };
  private shown: Window = { start: 0, end: 0 };
  private unseen = 0;
  private looked = 0;
  private said = "";
  private trouble = "";
  private listening = false;
  private loads = 0;
  private loading = false;
  private waiting: Told["log"][] = [];

  constructor(private readonly app: string) {
    this.stream = stream(app);
    this.box = make(
      "div", { className: "log-box", role: "log", ariaLabel: "Log", ariaLive: "off", tabIndex: 0 }, this.above, this.rows, this.below,
    );
    this.element = make("div", { className: "log-viewer" }, this.box, this.more);
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("click", (event) => this.clicked((event.target as HTMLElement).dataset));
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    this.more.addEventListener("click", () => void this.toEnd());
    document.addEventListener("selectionchange", () => this.selected());
    new ResizeObserver(() => this.following && this.stick()).observe(this.box);
  }

  /** Show other lines: from the end on, or from `at`. */
  ask(wanted: Wanted): Promise<void> {
    const { at, ...lines } = wanted;
    [this.wanted, this.manner.marked] = [lines, wanted.q ?? ""];
    return this.open(at ? { at } : {}, !at);
  }

  /** What is asked for, as a query of the API. */
  query(): string {
    return new URLSearchParams(named(this.wanted)).toString();
  }

  /** Show times in UTC, or in the reader's zone. */
  inUtc(utc: boolean): void {
    this.manner.utc = utc;
    const top = this.box.scrollTop;
    this.draw(this.shown, true);
    this.box.scrollTop = top;
  }

  /** All lines in memory, as a file would have them. */
  text(): string {
    return plainText(this.book.entries);
  }

  focus(): void {
    this.box.focus({ preventScroll: true });
  }

  async toEnd(): Promise<void> {
    if (this.book.newer) return this.open({}, true);
    this.follow(true);
    this.draw(last(this.all));
    this.stick();
    this.edges();
  }

  async toBegin(): Promise<void> {
    this.follow(false);
    if (this.book.older) return this.open({ after: BEGIN }, false);
    this.draw(first(this.all));
    this.box.scrollTop = 0;
    this.edges();
  }

  // Reading

  private async load(query: Record<string, string>): Promise<Page | null> {
    const mine = ++this.loads;
    [this.loading, this.trouble] = [true, ""];
    try {
      const asked = new URLSearchParams({ tail: String(PAGE_LINES), ...named(this.wanted), ...query });
      const page = await call<Page>("GET", ofApp(this.app, `/logs?${asked}`));
      return mine === this.loads ? page : null; // else something else was asked for meanwhile
    } catch (error) {
      if (mine === this.loads) this.trouble = (error as Error).message;
      return null;
    } finally {
      if (mine === this.loads) this.loading = false;
      this.edges();
    }
  }

  private async open(query: Record<string, string>, end: boolean): Promise<void> {
    const page = await this.load(query);
    if (!page) return;
    this.book.reset(page);
    [this.looked, this.waiting] = [page.looked_bytes, []];
    this.follow(end && !page.newer);
    this.unseen = 0;
    this.draw(end ? last(this.all) : first(this.all), true);
    this.box.scrollTop = end ? this.box.scrollHeight : 0;
    const { q = "", version = "", source = "" } = this.wanted;
    this.stream.from({ log: page.newer ? "" : page.last, q, version, source });
    this.listen();
    this.edges();
  }

  private async older(): Promise<void> {
    if (this.shown.start > this.book.base) return this.draw(earlier(this.shown, this.all));
    if (!this.book.older || this.loading) return;
    const page = await this.load({ before: this.book.first });
    if (!page) return;
    this.looked += page.looked_bytes;
    this.book.before(page);
    this.clip();
    this.draw(earlier(this.shown, this.all));
    this.edges();
  }

  private async newer(): Promise<void> {
    if (this.shown.end < this.book.end) return this.draw(later(this.shown, this.all));
    if (!this.book.newer || this.loading) return;
    const page = await this.load({ after: this.book.last });
    if (!page) return;
    this.book.after(page);
    this.clip();
    this.draw(later(this.shown, this.all));
    if (!page.newer) {
      this.unseen = 0;
      this.stream.from({ log: page.last });
    }
    this.edges();
  }

  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    this.stream.on("log", (told) => {
      if (this.wanted.until) return;
      if (!this.waiting.length) requestAnimationFrame(() => this.frame());
      this.waiting.push(told);
    });
  }

  // What came since the last frame.
  private frame(): void {
    const came = this.waiting;
    this.waiting = [];
    for (const told of came) {
      const { book, following } = this;
      if (!following && !book.newer && book.entries.length + told.lines.length > LINES_MAX) {
        book.hold(told.missed ? told.missed_from : told.lines[0]!.id);
      }
      book.follow(told);
      if (!following) this.unseen += told.lines.length + told.missed;
    }
    if (this.following) {
      this.draw(last(this.all));
      this.stick();
    }
    this.edges();
  }

  // Drawing

  private get all(): Window {
    return { start: this.book.base, end: this.book.end };
  }

  // Make the rows in the page those of `next`, and leave what one looks at where it is.
  private draw(next: Window, fresh = false): void {
    const { rows, box } = this;
    const now = fresh || !overlap(this.shown, next) ? { start: next.start, end: next.start } : this.shown;
    if (now !== this.shown) rows.replaceChildren();
    const anchor = this.following ? undefined : (rows.children[Math.max(0, next.start - now.start)] as HTMLElement | undefined);
    const before = anchor?.offsetTop ?? 0;
    for (let number = now.start; number < Math.min(next.start, now.end); number++) rows.firstElementChild!.remove();
    for (let number = now.end; number > Math.max(next.end, now.start); number--) rows.lastElementChild!.remove();
    rows.prepend(...this.made(next.start, Math.min(now.start, next.end)));
    rows.append(...this.made(Math.max(now.end, next.start), next.end));
    this.shown = next;
    if (anchor?.isConnected) box.scrollTop += anchor.offsetTop - before;
  }

  private made(start: number, end: number): HTMLElement[] {
    const found: HTMLElement[] = [];
    for (let number = start; number < end; number++) found.push(row(this.book.at(number), this.manner));
    return found;
  }

  // Rows of what the book let go of leave the page too.
  private clip(): void {
    const next = within(this.shown, this.all);
    if (next.start !== this.shown.start || next.end !== this.shown.end) this.draw(next);
  }

  private stick(): void {
    this.box.scrollTop = this.box.scrollHeight;
  }

  // What stands before the first row and after the last, and the way to the end.
  private edges(): void {
    const { book, following, unseen, wanted, looked, trouble } = this;
    const found = book.entries.length;
    let words = trouble;
    if (!words && book.older && wanted.q && found < FEW) words = `Looked through ${size(looked)} so far. `;
    else if (!words && !book.older && !found) words = this.listening ? (named(wanted) && this.query() ? "Nothing fits." : "Nothing yet.") : "";
    const away = !following && (unseen > 0 || book.newer || this.shown.end < book.end || !this.atBottom());
    const said = JSON.stringify([words, book.older, book.newer && !following, away, unseen, wanted.q]);
    if (said === this.said) return;
    this.said = said;
    this.above.replaceChildren(words, ...(book.older ? [button(wanted.q ? "Look further back" : "Older lines", "older")] : []));
    this.below.replaceChildren(...(book.newer && !following ? [button("Newer lines", "newer")] : []));
    this.more.hidden = !away;
    this.more.textContent = unseen ? `↓ ${unseen.toLocaleString()} new line${unseen === 1 ? "" : "s"}` : "↓ To the end";
  }

  // Where one looks

  private follow(yes: boolean): void {
    this.following = yes;
    if (yes) this.unseen = 0;
  }

  private atBottom(): boolean {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight <= END_PX;
  }

  private scrolled(): void {
    const end = this.atBottom();
    if (end && this.shown.end === this.book.end && !this.book.newer && !this.loading) this.follow(true);
    else if (!end) this.follow(false);
    const left = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    if (!this.following && this.box.scrollTop < EDGE_PX) void this.older();
    else if (!this.following && left < EDGE_PX) void this.newer();
    this.edges();
  }

  private clicked({ edge, gap }: DOMStringMap): void {
    if (edge === "older") void this.older();
    else if (edge === "newer") void this.newer();
    else if (gap) void this.open({ after: gap }, false);
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    void (event.key === "Home" ? this.toBegin() : this.toEnd());
  }

  // What is selected must not be taken away.
  private selected(): void {
    const selection = getSelection();
    if (!this.following || !selection || selection.isCollapsed || !this.rows.contains(selection.anchorNode)) return;
    this.follow(false);
    this.edges();
  }
}

function button(words: string, edge: string): HTMLButtonElement {
  return make("button", { type: "button", className: "plain", data: { edge } }, words);
}

function named(wanted: Wanted): Record<string, string> {
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
}
