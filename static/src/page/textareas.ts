// Editing in plain text areas: Tab indents (Escape first, and it leaves), Ctrl+Enter or Ctrl+S sends.

import { all } from "../lib/dom";

export function textAreas(root: ParentNode): void {
  for (const area of all<HTMLTextAreaElement>("textarea.code", root)) {
    keys(area);
    showLine(area, Number(area.dataset.line));
  }
  // What is typed where there was nothing is a text, until somebody says otherwise.
  for (const area of all<HTMLTextAreaElement>(".row-form textarea", root)) {
    const kind = area.parentElement?.querySelector("select");
    area.addEventListener("input", () => {
      if (kind && area.value && /null|default/.test(kind.value)) kind.value = "text";
    });
  }
}

function keys(area: HTMLTextAreaElement): void {
  let leaving = false;
  area.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && (event.key === "Enter" || event.key === "s")) {
      event.preventDefault();
      area.form?.requestSubmit();
    } else if (event.key === "Escape") {
      leaving = true;
    } else if (event.key === "Tab" && !leaving && !event.shiftKey) {
      event.preventDefault();
      document.execCommand("insertText", false, "  "); // keeps the undo history
    } else if (event.key !== "Shift") {
      leaving = false;
    }
  });
  area.addEventListener("blur", () => (leaving = false));
}

/** Put the cursor at a line, counted from 1, and show it. */
function showLine(area: HTMLTextAreaElement, line: number): void {
  if (!(line > 0) || !area.offsetParent) return;
  const start = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  area.focus({ preventScroll: true });
  area.setSelectionRange(start, start);
  area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
}
