// The page of an app's log: the viewer in place of the page's lines, asked by the page's own form.

import { all, one } from "./lib/dom";
import { slash, tools, typed } from "./watch/bar";
import { Viewer, type Wanted } from "./watch/viewer";

const FIELDS = ["q", "since", "until", "version", "source"] as const;

for (const place of all("[data-log-viewer]")) begin(place);

function begin(place: HTMLElement): void {
  const app = place.dataset.app!;
  const form = one<HTMLFormElement>("[data-log-form]");
  const viewer = new Viewer(app);
  const field = (name: string) => form.elements.namedItem(name) as HTMLInputElement;
  const said = (): Wanted => Object.fromEntries(FIELDS.map((name) => [name, moment(name, field(name).value.trim())]));
  const ask = () => {
    const query = new URLSearchParams(FIELDS.filter((name) => field(name).value).map((name) => [name, field(name).value]));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    void viewer.ask(said());
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  for (const name of FIELDS) typed(field(name), ask);
  field("source").addEventListener("change", ask);
  slash(document, field("q"));
  place.replaceChildren(tools(app, viewer, one<HTMLAnchorElement>("[data-download]")), viewer.element);
  const at = new URLSearchParams(location.search).get("at") ?? "";
  void viewer.ask({ ...said(), at });
}

// A time without a zone is the reader's own.
function moment(name: string, text: string): string {
  if (!text || (name !== "since" && name !== "until")) return text;
  const at = new Date(text);
  return /^\d+(\.\d+)?$/.test(text) || Number.isNaN(at.getTime()) ? text : at.toISOString();
}
