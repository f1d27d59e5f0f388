// The numbers of the bucket under the pointer, beside the chart: a title of its own comes too late to read along.

import { all, one } from "../lib/dom";
import { momentLabel } from "./words";

export function readings(root: ParentNode): void {
  for (const chart of all("[data-chart]", root)) {
    const reading = one("[data-reading]", chart);
    for (const hit of all<SVGRectElement>(".hit", chart)) {
      const said = hit.querySelector("title")?.textContent?.replace(/^.*? UTC: /, "") ?? "";
      hit.querySelector("title")?.remove();
      hit.addEventListener("pointerenter", () => {
        reading.textContent = `${momentLabel(new Date(Number(hit.dataset["start"]) * 1000))}: ${said}`;
        reading.hidden = false;
      });
    }
    chart.addEventListener("pointerleave", () => (reading.hidden = true));
  }
}
