// Everything by its name: files, actions, and the places of the app. One field, arrows, Enter.

import { all, make } from "../lib/dom";
import { type Command, shownKeys } from "./commands";
import type { Editing } from "./editing";
import { best } from "./match";

interface Item { name: string; kind: string; keys?: string; run: () => void }

/** Ask what to do, and do it. */
export function openPalette(editing: Editing, commands: readonly Command[]): void {
  const items = [...files(editing), ...actions(commands), ...places()];
  const field = make("input", { role: "combobox", placeholder: "A file, an action or a page", ariaLabel: "Go to", ariaExpanded: "true", autocomplete: "off", spellcheck: false });
  field.setAttribute("aria-controls", "palette-list");
  const list = make("ul", { id: "palette-list", role: "listbox", ariaLabel: "Results" });
  const dialog = make("dialog", { className: "card palette", ariaLabel: "Go to" }, field, list);
  let found: Item[] = [];
  let chosen = 0;
  const choose = (at: number) => {
    chosen = Math.max(0, Math.min(at, found.length - 1));
    [...list.children].forEach((option, each) => (option.ariaSelected = String(each === chosen)));
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", found.length ? `palette-${chosen}` : "");
  };
  const search = () => {
    found = best(field.value, items, (item) => item.name);
    list.replaceChildren(...found.map((item, at) => row(item, at, () => take(at))));
    if (!found.length) list.append(make("li", { className: "hint" }, "Nothing is called that."));
    choose(0);
  };
  const take = (at: number) => {
    dialog.close();
    found[at]?.run();
  };
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter") take(chosen);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  search();
}

// Private

function row(item: Item, at: number, take: () => void): HTMLLIElement {
  const keys = item.keys ? [make("kbd", {}, shownKeys(item.keys))] : [];
  const option = make("li", { role: "option", id: `palette-${at}`, ariaSelected: "false" }, make("span", { className: "name" }, item.name), make("span", { className: "hint" }, item.kind), ...keys);
  option.addEventListener("click", take);
  return option;
}

const files = (editing: Editing): Item[] =>
  editing.workspace.paths().map((path) => ({ name: path, kind: "file", run: () => void editing.open(path).then(() => editing.view.focus()) }));

const actions = (commands: readonly Command[]): Item[] =>
  commands.filter((command) => command.can?.() !== false).map(({ name, keys, run }) => ({ name, kind: "action", run, ...(keys && { keys }) }));

const places = (): Item[] =>
  all<HTMLAnchorElement>(".places a, .top nav a").map((link) => ({ name: link.textContent?.trim() ?? "", kind: "page", run: () => location.assign(link.href) }));
