// Marks of time on charts, in the reader's own zone.

import { all } from "../lib/dom";
import { axisLabel } from "./words";

export function localAxes(root: ParentNode): void {
  for (const text of all<SVGTextElement>("text[data-at]", root)) {
    text.textContent = axisLabel(new Date(Number(text.dataset["at"]) * 1000), "daily" in text.dataset);
  }
}
