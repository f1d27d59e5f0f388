// An app's page as it happens: log and requests.

import { all, make, one } from "./lib/dom";
import { plain, span } from "./lib/shown";
import { stream, type Asked } from "./lib/stream";
import { localTime } from "./page/times";
import type { Line } from "./watch/line";

const LOG_LINES_MAX = 1000;
const REQUESTS_MAX = 200;

const live = (name: string) => one(`[data-live="${name}"]`);

function timeOf(at: string): HTMLTimeElement {
  const time = make("time", { dateTime: at, data: { clock: "" } });
  localTime(time);
  return time;
}

function log(lines: Pick<Line, "at" | "source" | "text">[]): void {
  const box = live("log");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  box.append(
    ...lines.slice(-LOG_LINES_MAX).map((line) => make("p", { className: line.source === "app" ? "" : "ours" }, timeOf(line.at), plain(line.text))),
  );
  while (box.childElementCount > LOG_LINES_MAX) box.firstElementChild?.remove();
  live("no-log").hidden = true;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function request(item: Asked): void {
  const body = live("requests");
  body.prepend(
    make(
      "tr", {},
      make("td", {}, timeOf(item.at)),
      make("td", {}, plain(item.method)),
      make("td", { className: "path" }, plain(item.path)),
      make("td", { className: `s${Math.floor(item.status / 100)}` }, item.error ? `${item.status} ${item.error}` : String(item.status)),
      make("td", { className: "number" }, span(item.total_us / 1000)),
    ),
  );
  while (body.childElementCount > REQUESTS_MAX) body.lastElementChild?.remove();
  live("no-requests").hidden = true;
}

function follow(side: HTMLElement): void {
  const box = live("log");
  box.scrollTop = box.scrollHeight;
  const here = stream(one("[data-app]").dataset.app!);
  here.from(Object.fromEntries(new URLSearchParams(side.dataset.cursor)));
  here.on("log", ({ lines, missed }) => {
    if (missed) log([{ at: new Date().toISOString(), source: "steadyd", text: `${missed} not shown here: they came too fast` }]);
    log(lines);
  });
  here.on("request", ({ requests }) => requests.forEach(request));
  here.watch((link) => {
    live("link").classList.toggle("on", link === "live");
    live("link-words").textContent = link;
  });
}

for (const side of all("[data-cursor]")) follow(side);
