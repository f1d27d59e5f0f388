// What came back: status, where the time went, headers, body, and what the app wrote meanwhile.

import { make } from "../lib/dom";
import { plain, size, span } from "../lib/shown";
import { addLines } from "../preview/lines";
import type { Line } from "../watch/line";

export interface Answer {
  status: number;
  headers: { name: string; value: string }[];
  body: string | { base64: string };
  truncated: boolean;
  ms: number;
  timing: { gate_ms: number; start_ms: number | null; app_ms: number };
  request_id: string;
  version: number;
  logs: Line[];
  error: { code: string; message: string } | null;
}

/** Characters of a text that are shown; the rest is in the download. */
const SHOWN_CHARACTERS_MAX = 200_000;

/** All about an answer. */
export function shown(answer: Answer): HTMLElement[] {
  const parts = [head(answer), time(answer)];
  if (answer.error) parts.push(make("p", { className: "try-error" }, `steadyd answered, not the app (${answer.error.code}). ${answer.error.message}`));
  else parts.push(headers(answer), ...body(answer));
  if (answer.logs.length) {
    const log = make("div", { className: "log", role: "log", ariaLabel: "Log lines of this request", tabIndex: 0 });
    parts.push(make("p", { className: "hint" }, "What the app wrote meanwhile"), log);
    addLines(log, answer.logs);
  }
  return parts;
}

function head(answer: Answer): HTMLElement {
  const version = answer.version ? `version ${answer.version}, ` : "";
  return make("p", { className: "try-head" },
    make("strong", { className: `try-status s${String(answer.status)[0]}` }, String(answer.status)),
    ` after ${span(answer.ms)} `, make("span", { className: "hint" }, `${version}request ${answer.request_id}`));
}

/** Two parts of one bar: until an instance was there, and the app's own. */
function time(answer: Answer): HTMLElement {
  const { gate_ms: gate, start_ms: start, app_ms: app } = answer.timing;
  const waits = make("span", { className: "gate" }), works = make("span", { className: "app" });
  waits.style.flexGrow = String(gate);
  works.style.flexGrow = String(app);
  const bar = make("div", { className: "try-time", ariaHidden: "true" }, waits, works);
  const began = start === null ? `${span(gate)} at the gate` : `${span(start)} to start`;
  return make("div", {}, bar, make("p", { className: "hint" }, `${began}, ${span(app)} in the app`));
}

function headers(answer: Answer): HTMLElement {
  const rows = answer.headers.map(({ name, value }) => make("tr", {}, make("th", { scope: "row" }, plain(name)), make("td", {}, plain(value))));
  return make("details", {}, make("summary", {}, `${rows.length} headers`), make("table", { className: "try-headers" }, make("tbody", {}, ...rows)));
}

function body(answer: Answer): HTMLElement[] {
  const media = (answer.headers.find(({ name }) => name.toLowerCase() === "content-type")?.value ?? "").split(";")[0]!.trim().toLowerCase();
  const bytes = typeof answer.body === "string" ? new TextEncoder().encode(answer.body) : fromBase64(answer.body.base64);
  if (!bytes.length) return [make("p", { className: "hint" }, "No body.")];
  const cut = answer.truncated ? " It goes on: this is as far as it came." : "";
  const about = make("p", { className: "hint" }, `${media || "no content type"}, ${size(bytes.length)}.${cut} `, download(bytes, media));
  if (typeof answer.body === "string") return [about, make("pre", { className: "try-body", tabIndex: 0 }, text(answer.body, media))];
  // Nothing of an SVG can run in an image; data: is what our policy lets an image be.
  if (media.startsWith("image/")) return [about, make("img", { className: "try-image", alt: "The image that was answered", src: `data:${media};base64,${answer.body.base64}` })];
  return [about];
}

/** JSON with its structure, anything else as it is. */
export function text(said: string, media: string): string {
  let found = said;
  if (/[/+]json$/.test(media)) {
    try {
      found = JSON.stringify(JSON.parse(said), null, 2);
    } catch {
      // It says that it is JSON, and is not.
    }
  }
  const shownText = plain(found.slice(0, SHOWN_CHARACTERS_MAX));
  return found.length > SHOWN_CHARACTERS_MAX ? `${shownText}\n… (more in the download)` : shownText;
}

function download(bytes: Uint8Array<ArrayBuffer>, media: string): HTMLElement {
  const link = make("a", { href: "#", download: "answer" }, "Download");
  link.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([bytes], { type: media || "application/octet-stream" }));
    link.href = url;
    setTimeout(() => URL.revokeObjectURL(url));
  });
  return link;
}

const fromBase64 = (said: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(said), (char) => char.charCodeAt(0));
