// All about one request, as it is shown below its row.

import { call, ofApp } from "../lib/api";
import { sendAgain } from "../lib/again";
import { make } from "../lib/dom";
import { plain, size, span } from "../lib/shown";
import type { Asked } from "../lib/stream";
import { timing } from "./asking";
import type { Line } from "./line";
import { row } from "./row";

interface Header { name: string; value: string }
export interface Detail {
  request: Asked;
  start_us: number | null;
  request_headers: Header[] | null;
  response_headers: Header[] | null;
  others: number;
  logs: Line[];
  logs_more: boolean;
  named: string[];
}

const WORDS: Record<string, string> = {
  gate: "waited at the gate", start: "the app started", app: "until the app answered", answer: "the answer itself",
};
const BEFORE_MS = 5; // times are told to the millisecond: the first line may seem older than its request
const OURS = /^(host|x-forwarded-.*|steady-.*|content-length|connection|te|accept-encoding|…)$/i;

/** Fetch it and show it. `onLog` shows the log at a time; without it there is a link. */
export async function detail(app: string, id: number, onLog?: (at: string) => void): Promise<HTMLElement> {
  const found = await call<Detail>("GET", ofApp(app, `/requests/${id}`));
  const { request } = found;
  const page = make("a", { href: `/apps/${app}/requests/${id}` }, "All of it");
  const at = new Date(Date.parse(request.at) - BEFORE_MS).toISOString();
  const log = make("a", { href: `/apps/${app}/logs?at=${encodeURIComponent(at)}` }, "The log at that time");
  if (onLog) {
    log.addEventListener("click", (event) => {
      event.preventDefault();
      onLog(at);
    });
  }
  const links = make("p", { className: "links" }, page, log);
  if (document.querySelector("#pane-tab-try")) links.append(again(found));
  return make(
    "div", { className: "request-detail" },
    bar(request, found.start_us),
    make("p", { className: "hint" }, about(request)),
    lines(found),
    heads("Request headers", found.request_headers),
    heads("Answer headers", found.response_headers),
    links,
  );
}

function about(request: Asked): string {
  const version = request.version ? `, version ${request.version}` : ", no instance";
  return `${size(request.request_bytes)} in, ${size(request.response_bytes)} out, from ${request.client}${version}, id ${request.request_id}`;
}

function bar(request: Asked, start: number | null): HTMLElement {
  const parts = timing(request, start);
  const drawn = make("div", { className: "timing-bar", ariaHidden: "true" });
  const key = make("dl", { className: "timing-key" });
  for (const [name, us] of parts) {
    const part = make("span", { className: `in-${name}` });
    part.style.flexGrow = String(us);
    drawn.append(part);
    key.append(make("div", {}, make("dt", { className: `in-${name}` }, WORDS[name]!), make("dd", {}, span(us / 1000))));
  }
  return make("div", {}, drawn, key);
}

function lines({ request, logs, logs_more, named, others }: Detail): HTMLElement {
  if (!request.version) return make("div");
  const shown = logs.map((line) => {
    const made = row(line, { utc: false, marked: "" });
    made.classList.toggle("named", named.includes(line.id));
    return made;
  });
  const words = !logs.length
    ? "The app wrote nothing meanwhile."
    : `What the app wrote meanwhile${logs_more ? ", the first lines of it" : ""}.` +
      (named.length ? " Marked lines name this request's id." : "") +
      (others ? ` ${others} other request${others === 1 ? "" : "s"} ran too: some lines may be theirs.` : "");
  return make("div", {}, make("p", { className: "hint" }, words), make("div", { className: "log-lines short" }, ...shown));
}

function heads(title: string, found: Header[] | null): HTMLElement {
  if (!found) return make("p", { className: "hint" }, `${title}: not kept.`);
  const list = make("dl", { className: "heads" });
  for (const { name, value } of found) list.append(make("dt", {}, plain(name)), make("dd", {}, plain(value)));
  return make("details", {}, make("summary", {}, `${title} (${found.length})`), list);
}

// What was masked is not sent, nor what we add ourselves.
function again({ request, request_headers }: Detail): HTMLElement {
  const made = make("button", { type: "button" }, "Send again");
  const headers = (request_headers ?? []).filter(({ name, value }) => !OURS.test(name) && !value.includes("•••"));
  made.addEventListener("click", () => {
    sendAgain({ method: request.method, path: request.path, headers: headers.map(({ name, value }) => [name, value]) });
  });
  return made;
}
