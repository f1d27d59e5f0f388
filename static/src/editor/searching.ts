// The panel that finds text in all files.

import { make } from "../lib/dom";
import type { Editing } from "./editing";
import { findAll, type Place } from "./finding";
import { isAbsent } from "./workspace";

/** Open the panel below the editor, with `wanted` in it. */
export function openSearch(root: HTMLElement, editing: Editing, wanted: string): void {
  root.querySelector(".find-all")?.remove();
  const field = make("input", { type: "search", value: wanted, ariaLabel: "Find in all files", placeholder: "Find in all files", autocomplete: "off", spellcheck: false });
  const withCase = make("input", { type: "checkbox" });
  const count = make("span", { className: "hint", role: "status" });
  const close = make("button", { type: "button", className: "plain", ariaLabel: "Close the search" }, "×");
  const list = make("ul", {});
  const head = make("div", { className: "find-head" }, field, make("label", { className: "small" }, withCase, " case counts"), count, close);
  const panel = make("section", { className: "find-all", ariaLabel: "Find in all files" }, head, list);
  const search = () => {
    const { places, more } = findAll(editing.texts(), field.value, withCase.checked);
    const absent = editing.workspace.paths().filter((path) => isAbsent(editing.workspace.read(path))).length;
    const found = places.length + more;
    count.textContent = field.value ? `${found} place${found === 1 ? "" : "s"}${more ? `, ${places.length} shown` : ""}${absent ? `; ${absent} files are not loaded` : ""}` : "";
    list.replaceChildren(...places.map((place) => row(place, editing)));
  };
  const end = () => {
    panel.remove();
    editing.view.focus();
  };
  field.addEventListener("input", search);
  withCase.addEventListener("change", search);
  close.addEventListener("click", end);
  panel.addEventListener("keydown", (event) => event.key === "Escape" && end());
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // or the editor, which has the focus then, takes it too
    list.querySelector("button")?.click();
  });
  root.append(panel);
  field.focus();
  field.select();
  search();
}

// Private

function row(place: Place, editing: Editing): HTMLLIElement {
  const where = make("span", { className: "found-at" }, `${place.path}:${place.line}`);
  const line = make("span", { className: "found-line" }, place.before, make("mark", {}, place.hit), place.after);
  const button = make("button", { type: "button" }, where, line);
  button.addEventListener("click", () => editing.show(place.path, place.line, place.column));
  return make("li", {}, button);
}
