// The requests beside the editor.

import type { Desk, Pane } from "../lib/desk";
import { make } from "../lib/dom";
import { typed } from "../watch/bar";
import { jump } from "../watch/jump";
import { RequestList } from "../watch/list";

const STATUSES: [string, string][] = [["", "All"], ["failed", "Failed"], ["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"]];

const pane: Pane = (box, desk: Desk) => {
  if (!desk.app) {
    box.append(make("p", { className: "hint" }, "No request yet."));
    return;
  }
  const list = new RequestList(desk.app, jump);
  const path = make("input", { type: "search", placeholder: "Path contains", ariaLabel: "Path contains", maxLength: 200, autocomplete: "off", spellcheck: false });
  const status = make("select", { ariaLabel: "Status" }, ...STATUSES.map(([value, title]) => make("option", { value }, title)));
  const whole = make("a", { href: `/apps/${desk.app}/requests`, className: "hint" }, "Page");
  const ask = () => void list.ask({ path: path.value, status: status.value });
  typed(path, ask);
  status.addEventListener("change", ask);
  box.classList.add("log-pane");
  box.append(make("div", { className: "log-tools" }, path, status, whole), list.element);
  ask();
};
export default pane;
