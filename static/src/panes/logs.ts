// The log beside the editor.

import { ofApp } from "../lib/api";
import type { Pane } from "../lib/desk";
import { make } from "../lib/dom";
import { slash, tools, typed } from "../watch/bar";
import { onJump } from "../watch/jump";
import { Viewer } from "../watch/viewer";

const pane: Pane = (box, desk) => {
  if (!desk.app) {
    box.append(make("p", { className: "hint" }, "Nothing yet. What the app prints with console.log appears here."));
    return;
  }
  const viewer = new Viewer(desk.app);
  const search = make("input", { type: "search", placeholder: "Search the log", ariaLabel: "Search the log", maxLength: 200, autocomplete: "off", spellcheck: false });
  const whole = make("a", { href: `/apps/${desk.app}/logs`, className: "hint" }, "Page");
  const download = make("a", { href: `/api${ofApp(desk.app, "/logs?download=1")}`, className: "hint" }, "Download");
  const bar = tools(desk.app, viewer, download);
  bar.prepend(search);
  bar.append(whole);
  typed(search, () => void viewer.ask({ q: search.value }));
  slash(box, search);
  box.classList.add("log-pane");
  box.append(bar, viewer.element);
  const at = onJump((moment) => {
    search.value = "";
    void viewer.ask({ at: moment });
  });
  void viewer.ask({ at });
};
export default pane;
