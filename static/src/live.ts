// An app's page as it happens: log, requests and state, from one stream.

import { all, make, one } from "./lib/dom";
import { plain, span } from "./lib/shown";
import { localTime } from "./page/times";

const LOG_LINES_MAX = 1000;
const REQUESTS_MAX = 200;

interface Line { at: string; source: string; text: string }
interface Asked { at: string; method: string; path: string; status: number; error: string; total_us: number }
interface State { state: string; sentence: string; version: number; memory_bytes: number; cpu_seconds: number }

const live = (name: string) => one(`[data-live="${name}"]`);

function timeOf(at: string): HTMLTimeElement {
  const time = make("time", { dateTime: at, data: { clock: "" } });
  localTime(time);
  return time;
}

function log(item: Line): void {
  const box = live("log");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  box.append(make("p", { className: item.source === "app" ? "" : "ours" }, timeOf(item.at), plain(item.text)));
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

function state(item: State): void {
  const pill = live("state");
  pill.textContent = item.state;
  pill.className = `pill ${item.state}`;
  live("sentence").textContent = item.sentence;
  live("memory").textContent = item.memory_bytes ? `${Math.round(item.memory_bytes / 1048576)} MiB` : "–";
  live("cpu").textContent = `${item.cpu_seconds.toFixed(1)} s`;
  for (const element of all('[data-live="version"]')) element.textContent = String(item.version);
  for (const element of all('[data-live="newer"]')) element.hidden = String(item.version) === element.dataset.base;
  for (const form of all("[data-when]")) form.hidden = !form.dataset.when!.split(" ").includes(item.state);
}

const show: Record<string, (item: never) => void> = {
  log, request, state,
  missed: (item: { missed: number }) =>
    log({ at: new Date().toISOString(), source: "steadyd", text: `${item.missed} not shown here: they came too fast` }),
};

function follow(side: HTMLElement): void {
  const box = live("log");
  box.scrollTop = box.scrollHeight;
  let source: EventSource | null = null;
  let last = "";
  const status = (on: boolean, words: string) => {
    live("link").classList.toggle("on", on);
    live("link-words").textContent = words;
  };
  const open = () => {
    const url = new URL(side.dataset.stream!, location.href);
    if (last) url.searchParams.set("since", last);
    source = new EventSource(url);
    source.onopen = () => status(true, "live");
    source.onerror = () => status(false, "reconnecting");
    for (const [name, handle] of Object.entries(show)) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data) as never);
      });
    }
  };
  const close = () => {
    source?.close();
    source = null;
    status(false, "paused");
  };
  // A page nobody looks at needs no connection; browsers have only six for one host.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => {
    if (!source && !document.hidden) open();
  });
  if (!document.hidden) open();
}

const side = document.querySelector<HTMLElement>("[data-stream]");
if (side) follow(side);
