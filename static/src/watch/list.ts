// The list of requests, newest first: live while one looks at its top, older ones from the server, details below a row.

import { call, ofApp } from "../lib/api";
import { make } from "../lib/dom";
import { clock, plain, size, span } from "../lib/shown";
import { stream, type Asked, type Stream, type Told } from "../lib/stream";
import { wants, type Filter } from "./asking";
import { detail } from "./detail";

const PAGE_ROWS = 100;
const ROWS_MAX = 500;
const TOP_PX = 4;
const EDGE_PX = 300;

interface Page { requests: Asked[]; first: number; last: number; older: boolean; newer: boolean }

export class RequestList {
  readonly element: HTMLElement;
  private readonly body = make("tbody");
  private readonly box: HTMLElement;
  private readonly more = make("button", { type: "button", className: "to-end to-top", hidden: true });
  private readonly foot = make("p", { className: "edge" });
  private readonly stream: Stream;
  private filter: Filter = {};
  private first = 0;
  private older = false;
  private loads = 0;
  private loading = false;
  private unseen = 0;
  private listening = false;
  private waiting: Told["request"][] = [];

  constructor(
    private readonly app: string,
    private readonly onLog?: (at: string) => void,
  ) {
    this.stream = stream(app);
    const names = ["Time", "Method", "Path", "Status"].map((name) => make("th", {}, name));
    const numbers = ["Took", "Waited", "Size"].map((name) => make("th", { className: "number" }, name));
    const table = make("table", { className: "requests" }, make("thead", {}, make("tr", {}, ...names, ...numbers)), this.body);
    this.box = make("div", { className: "request-box", role: "region", ariaLabel: "List of requests", tabIndex: 0 }, table, this.foot);
    this.element = make("div", { className: "request-list" }, this.more, this.box);
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.more.addEventListener("click", () => void this.ask(this.filter));
    this.body.addEventListener("click", (event) => this.clicked(event));
  }

  /** Show the newest that fit. */
  async ask(filter: Filter): Promise<void> {
    this.filter = filter;
    const page = await this.load({});
    if (!page) return;
    this.body.replaceChildren(...page.requests.reverse().map((asked) => this.row(asked)));
    [this.first, this.older, this.unseen, this.waiting] = [page.first, page.older, 0, []];
    this.box.scrollTop = 0;
    this.stream.from({ requests: String(page.last) });
    this.listen();
    this.edges();
  }

  private async load(query: Record<string, string>): Promise<Page | null> {
    const mine = ++this.loads;
    this.loading = true;
    const named = Object.entries(this.filter).filter(([, value]) => value) as [string, string][];
    try {
      const asked = new URLSearchParams({ tail: String(PAGE_ROWS), ...Object.fromEntries(named), ...query });
      const page = await call<Page>("GET", ofApp(this.app, `/requests?${asked}`));
      return mine === this.loads ? page : null;
    } catch (error) {
      if (mine === this.loads) this.foot.textContent = (error as Error).message;
      return null;
    } finally {
      if (mine === this.loads) this.loading = false;
    }
  }

  private async further(): Promise<void> {
    if (!this.older || this.loading || this.body.childElementCount >= 2 * ROWS_MAX) return;
    const page = await this.load({ before: String(this.first) });
    if (!page) return;
    this.body.append(...page.requests.reverse().map((asked) => this.row(asked)));
    [this.first, this.older] = [page.first, page.older];
    this.edges();
  }

  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    this.stream.on("request", (told) => {
      if (!this.waiting.length) requestAnimationFrame(() => this.frame());
      this.waiting.push(told);
    });
  }

  private frame(): void {
    const came = this.waiting.flatMap(({ requests }) => requests).filter((asked) => wants(this.filter, asked));
    const missed = this.waiting.reduce((sum, told) => sum + told.missed, 0);
    this.waiting = [];
    const open = this.body.querySelector(".detail-row") !== null;
    if (this.box.scrollTop > TOP_PX || open) {
      this.unseen += came.length + missed;
    } else {
      this.body.prepend(...came.slice(-ROWS_MAX).reverse().map((asked) => this.row(asked)));
      if (missed) this.unseen += missed;
      this.trim();
    }
    this.edges();
  }

  // What goes at the end can be had again by scrolling.
  private trim(): void {
    while (this.body.childElementCount > ROWS_MAX) {
      this.body.lastElementChild!.remove();
      this.older = true;
    }
    const last = this.body.lastElementChild as HTMLElement | null;
    if (this.older && last?.dataset.id) this.first = Number(last.dataset.id);
  }

  private edges(): void {
    this.more.hidden = !this.unseen;
    this.more.textContent = `↑ ${this.unseen.toLocaleString()} new request${this.unseen === 1 ? "" : "s"}`;
    const some = this.body.childElementCount > 0;
    this.foot.replaceChildren(
      ...(this.older ? [make("button", { type: "button", className: "plain", data: { older: "" } }, some ? "Older" : "Look further back")] : []),
      ...(some || this.older ? [] : ["None."]),
    );
    this.foot.firstElementChild?.addEventListener("click", () => void this.further());
  }

  private scrolled(): void {
    if (this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < EDGE_PX) void this.further();
  }

  private row(asked: Asked): HTMLElement {
    const status = make("td", { className: `s${Math.floor(asked.status / 100)}` }, String(asked.status));
    if (asked.error) status.append(" ", make("a", { href: `/errors#${asked.error}` }, asked.error));
    const link = make(
      "a", { href: `/apps/${this.app}/requests/${asked.id}`, ariaExpanded: "false" },
      make("time", { dateTime: asked.at, title: asked.at }, clock(new Date(asked.at))),
    );
    return make(
      "tr", { data: { id: String(asked.id) } },
      make("td", {}, link),
      make("td", {}, plain(asked.method)),
      make("td", { className: "path" }, plain(asked.path)),
      status,
      make("td", { className: "number" }, span(asked.total_us / 1000)),
      make("td", { className: "number" }, asked.gate_us ? span(asked.gate_us / 1000) : ""),
      make("td", { className: "number" }, size(asked.response_bytes)),
    );
  }

  private async clicked(event: MouseEvent): Promise<void> {
    const target = event.target as HTMLElement;
    const row = target.closest<HTMLElement>("tr[data-id]");
    const link = row?.querySelector("a");
    const other = target.closest("a") && target.closest("a") !== link;
    if (!row || !link || other || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const next = row.nextElementSibling;
    if (next?.classList.contains("detail-row")) {
      next.remove();
      link.ariaExpanded = "false";
      return;
    }
    const cell = make("td", { colSpan: row.childElementCount }, "…");
    row.after(make("tr", { className: "detail-row" }, cell));
    link.ariaExpanded = "true";
    try {
      cell.replaceChildren(await detail(this.app, Number(row.dataset.id), this.onLog));
    } catch (error) {
      cell.textContent = (error as Error).message;
    }
  }
}
