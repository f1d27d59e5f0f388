// The app in a frame: what is live, or the draft, which runs beside it on a copy of the data.

import { ApiError, call, ofApp } from "../lib/api";
import type { Desk, Pane } from "../lib/desk";
import { make } from "../lib/dom";
import { span } from "../lib/shown";
import { address, path, problems } from "../preview/address";
import { addLines } from "../preview/lines";
import type { Line } from "../watch/line";

interface Preview { url: string; expires_at: string; started_ms: number; base_version: number; fresh: boolean; notes: string[]; death: string }

/** Until a broken stream of lines is begun anew. */
const RETRY_MS = 2_000;
/** What a framed page may do; never lead this page elsewhere. */
const SANDBOX = "allow-scripts allow-forms allow-same-origin allow-popups allow-modals allow-downloads";

const pane: Pane = (box, desk) => {
  if (desk.app) new PreviewPane(box, desk);
  else box.append(make("p", { className: "hint" }, "There is nothing to show yet. Run the app first."));
};
export default pane;

class PreviewPane {
  private readonly live = make("input", { type: "radio", name: "preview-what", value: "live", checked: true });
  private readonly draft = make("input", { type: "radio", name: "preview-what", value: "draft" });
  private readonly field = make("input", { type: "text", value: "/", ariaLabel: "Path", spellcheck: false, autocapitalize: "off", autocomplete: "off" });
  private readonly out = make("a", { className: "preview-out", target: "_blank", rel: "noopener" }, "Open in a tab");
  private readonly said = make("p", { className: "preview-said" });
  private readonly wishes = make("div", { className: "preview-wishes", hidden: true });
  private readonly failure = make("div", { className: "preview-failure", role: "alert", hidden: true });
  private readonly frame = make("iframe", { className: "preview-frame", title: "The app" });
  private readonly log = make("div", { className: "log", role: "log", ariaLabel: "What the draft prints", tabIndex: 0 });
  private readonly logBox = make("details", { className: "preview-log", hidden: true, open: true }, make("summary", {}, "What the draft prints"), this.log);
  private preview: Preview | null = null;
  private starting = false;
  private again: { fresh?: boolean } | null = null;
  private lines: EventSource | null = null;

  constructor(box: HTMLElement, private readonly desk: Desk) {
    this.frame.setAttribute("sandbox", SANDBOX);
    const reload = make("button", { type: "submit", ariaLabel: "Load again", title: "Load again" }, "↻");
    const form = make("form", { className: "preview-address" }, this.field, reload);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    for (const radio of [this.live, this.draft]) radio.addEventListener("change", () => this.turn());
    const choice = make("div", { className: "switch", role: "radiogroup", ariaLabel: "What is shown" },
      make("label", {}, this.live, make("span", {}, "Live")), make("label", {}, this.draft, make("span", {}, "Draft")));
    this.wishes.append(
      this.button("Start again", () => this.start({})),
      this.button("With fresh data", () => this.start({ fresh: true })),
      this.button("End", () => this.end()),
    );
    const refused = make("p", { className: "hint preview-hint" }, "Empty? A page may refuse to be shown in a frame. Then open it in a tab.");
    box.classList.add("preview");
    box.append(make("div", { className: "preview-bar" }, choice, form, this.out), this.said, this.wishes, this.failure, this.frame, refused, this.logBox);
    this.said.setAttribute("aria-live", "polite");
    desk.on("preview", () => {
      if (box.hidden) document.getElementById(box.getAttribute("aria-labelledby") ?? "")?.click();
      this.draft.checked = true;
      this.start({});
    });
    desk.on("deployed", () => this.live.checked && this.load());
    addEventListener("pagehide", () => this.unfollow());
    this.turn();
  }

  private get origin(): string {
    return this.draft.checked && this.preview ? this.preview.url : this.desk.url;
  }

  /** Show what was chosen. */
  private turn(): void {
    if (this.draft.checked) return void this.start({});
    this.fail(null);
    this.wishes.hidden = this.logBox.hidden = true;
    this.say("This is live: what visitors see.");
    this.load();
  }

  private load(): void {
    const gone = address(this.origin, this.field.value);
    this.field.value = path(gone);
    this.out.href = gone;
    this.frame.hidden = false;
    this.frame.title = this.draft.checked ? "The draft" : "The app, live";
    // As a replacement, so that the browser's back button leads to the last page and not to the last draft.
    if (this.frame.src) this.frame.contentWindow!.location.replace(gone);
    else this.frame.src = gone;
  }

  /** Start the draft as it is now. One start at a time: what was wished meanwhile comes next. */
  private async start(wish: { fresh?: boolean }): Promise<void> {
    if (this.starting) return void (this.again = wish);
    this.starting = true;
    this.fail(null);
    this.say("Starting the draft on a copy of the data…");
    try {
      this.preview = await this.ask(wish);
      this.desk.mark([]);
      this.shown(this.preview);
    } catch (error) {
      if (error instanceof ApiError) this.fail(error);
      else throw error;
    } finally {
      this.starting = false;
    }
    const next = this.again;
    this.again = null;
    if (next && this.draft.checked) await this.start(next);
  }

  /** What differs, or where that does not fit what is live now, the whole draft. */
  private async ask(wish: { fresh?: boolean }): Promise<Preview> {
    const where = ofApp(this.desk.app, "/preview");
    try {
      return (await call<{ preview: Preview }>("POST", where, { files: this.desk.changes(), merge: true, ...wish })).preview;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "invalid_path") throw error;
      return (await call<{ preview: Preview }>("POST", where, { files: await this.desk.files(), ...wish })).preview;
    }
  }

  private shown(preview: Preview): void {
    if (!this.draft.checked) return; // somebody went back to what is live
    const notes = preview.notes.filter((note) => !note.startsWith("It runs on"));
    const data = preview.fresh ? "on a fresh copy of the data" : "on the copy of the last draft";
    this.say(`The draft runs ${data}, started in ${span(preview.started_ms)}. Nothing of it is live. Whoever has its address can open it. ${notes.join(" ")}`);
    this.wishes.hidden = this.logBox.hidden = false;
    this.log.replaceChildren();
    this.follow();
    this.load();
  }

  /** Its lines, as they come. */
  private follow(): void {
    this.lines?.close();
    const source = (this.lines = new EventSource(`/api${ofApp(this.desk.app, "/preview/logs?follow=1&tail=200")}`));
    source.onopen = () => this.log.replaceChildren();
    // By itself it would go on from the time of the last line, which others share: begun anew it is exact.
    source.onerror = () => {
      source.close();
      setTimeout(() => this.lines === source && this.follow(), RETRY_MS);
    };
    source.addEventListener("log", (event) => {
      const line = JSON.parse((event as MessageEvent<string>).data) as Line;
      addLines(this.log, [line]);
      if (line.source !== "app") void this.look();
    });
  }

  private unfollow(): void {
    this.lines?.close();
    this.lines = null;
  }

  /** Whether it still runs, after the platform said something. */
  private async look(): Promise<void> {
    const { preview } = await call<{ preview: Preview | null }>("GET", ofApp(this.desk.app, "/preview")).catch(() => ({ preview: this.preview }));
    if (this.starting || !this.draft.checked) return;
    if (!preview) {
      this.preview = null;
      this.unfollow();
      this.frame.hidden = true;
      this.say("The draft has ended, and its copy of the data is gone.");
    } else if (preview.death) {
      this.say(`The draft ended: ${preview.death}`);
    }
  }

  private async end(): Promise<void> {
    this.unfollow();
    await call("DELETE", ofApp(this.desk.app, "/preview")).catch(() => undefined);
    this.preview = null;
    this.live.checked = true;
    this.turn();
  }

  /** Say why it did not start, and mark the place. */
  private fail(error: ApiError | null): void {
    this.failure.hidden = !error;
    if (!error) return;
    const places = problems(error.details, error.message);
    this.desk.mark(places);
    // What was refused before its start has left the last draft running.
    if (error.details.step === "start") this.preview = null;
    this.say(this.preview ? "Shown is the last draft that started." : "");
    this.wishes.hidden = false;
    this.frame.hidden = this.logBox.hidden = !this.preview;
    const logs = Array.isArray(error.details.logs) ? error.details.logs.map(String) : [];
    this.failure.replaceChildren(
      make("p", {}, make("strong", {}, "The draft does not run. "), error.message),
      ...places.map((place) => this.button(`Go to ${place.path}:${place.line}`, () => this.desk.show(place.path, place.line, place.column))),
      ...(logs.length ? [make("pre", {}, logs.join("\n"))] : []),
    );
  }

  private say(text: string): void {
    this.said.textContent = text;
    this.said.hidden = !text;
  }

  private button(words: string, then: () => void): HTMLButtonElement {
    const button = make("button", { type: "button" }, words);
    button.addEventListener("click", then);
    return button;
  }
}
