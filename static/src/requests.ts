// The page of an app's requests: the live list in place of the page's rows, asked by the page's own form.

import { all, one } from "./lib/dom";
import { slash, typed } from "./watch/bar";
import type { Filter } from "./watch/asking";
import { RequestList } from "./watch/list";

const FIELDS = ["path", "status", "method", "slower_ms", "since", "until"] as const;

for (const place of all("[data-requests-viewer]")) if (place.dataset.past === undefined) begin(place);

function begin(place: HTMLElement): void {
  const form = one<HTMLFormElement>("[data-requests-form]");
  const list = new RequestList(place.dataset.app!);
  const field = (name: string) => form.elements.namedItem(name) as HTMLInputElement;
  const ask = () => {
    const said = FIELDS.map((name) => [name, field(name).value.trim()]).filter(([, value]) => value) as [string, string][];
    const query = new URLSearchParams(said);
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    void list.ask(Object.fromEntries(said) as Filter);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  for (const name of FIELDS) typed(field(name), ask);
  slash(document, field("path"));
  place.replaceChildren(list.element);
  ask();
}
