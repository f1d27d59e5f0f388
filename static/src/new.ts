// Code that came with a link, `/new#code=…`: it is put into the text area before the editor looks at it, and nothing runs
// it. What is after the # is not sent to any server.

import { codeOf } from "./lib/linked";

const code = codeOf(location.hash);
const root = document.querySelector<HTMLElement>("[data-desk]");
const notice = document.querySelector<HTMLElement>("[data-linked]");
const area = root?.querySelector<HTMLTextAreaElement>("#source");
if (location.pathname === "/new" && code !== null && root && notice && area) {
  if (code === undefined) notice.textContent = "The code in this link is damaged. Ask for it again.";
  else {
    area.defaultValue = code;
    area.value = code;
    // Another link is another draft.
    root.dataset.draft = `new#${location.hash.slice(1, 2000)}`;
  }
  notice.hidden = false;
}
addEventListener("hashchange", () => location.pathname === "/new" && codeOf(location.hash) !== null && location.reload());
