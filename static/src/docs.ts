// The description of the API: its curl lines with one's own app and token, and a search. The token stays in this page.

import { all, one } from "./lib/dom";
import { filled, says } from "./docs/lines";

const lines = all<HTMLElement>("code[data-curl]");
const which = one<HTMLInputElement | HTMLSelectElement>("#which");
const token = one<HTMLInputElement>("#with");
const find = one<HTMLInputElement>("#find");
const calls = all<HTMLElement>("section.call[id]").filter((call) => call.querySelector("[data-curl]"));

function fill(): void {
  for (const line of lines) line.textContent = filled(line.dataset.curl ?? "", which.value.trim(), token.value.trim());
}

function search(): void {
  let left = 0;
  for (const call of calls) {
    call.hidden = !says(call.textContent ?? "", find.value);
    const link = one<HTMLAnchorElement>(`.contents a[href="#${CSS.escape(call.id)}"]`);
    (link.parentElement ?? link).hidden = call.hidden;
    left += call.hidden ? 0 : 1;
  }
  one("#none").hidden = left > 0;
}

one<HTMLFormElement>("form.asking").addEventListener("submit", (event) => event.preventDefault());
which.addEventListener("input", fill);
token.addEventListener("input", fill);
find.addEventListener("input", search);
