// The desk of the Code page: the editor, and the panes beside it.

import { mountPanes } from "./editor/panes";
import type { Changes, Content, Desk } from "./lib/desk";
import { all } from "./lib/dom";

type Heard = Parameters<Desk["on"]>[0];

/** A desk of the page's own text areas. */
function formDesk(root: HTMLElement): Desk {
  const areas = new Map(all<HTMLTextAreaElement>('textarea[name^="file:"]', root).map((area) => [area.name.slice(5), area]));
  const heard: Record<Heard, (() => void)[]> = { deployed: [], changed: [], preview: [] };
  for (const area of areas.values()) area.addEventListener("input", () => heard.changed.forEach((then) => then()));
  return {
    app: root.dataset.app ?? "",
    url: root.dataset.url ?? "",
    version: () => Number(root.dataset.version),
    files: async () => Object.fromEntries([...areas].map(([path, area]): [string, Content] => [path, area.value])),
    changes: () => {
      const changes: Changes = {};
      for (const [path, area] of areas) if (area.value !== area.defaultValue) changes[path] = area.value;
      return changes;
    },
    show: (path) => areas.get(path)?.focus(),
    mark: () => undefined,
    on: (what, then) => heard[what].push(then),
  };
}

const root = document.querySelector<HTMLElement>("[data-desk]");
const panes = document.querySelector<HTMLElement>("[data-panes]");
if (root && panes) mountPanes(panes, formDesk(root), "preview");
