// Buttons that copy the line beside them.

import { all, one } from "../lib/dom";

export function copyButtons(root: ParentNode): void {
  for (const button of all<HTMLButtonElement>("[data-copy]", root)) {
    button.addEventListener("click", async () => {
      const code = one("code", button.parentElement ?? document);
      try {
        await navigator.clipboard.writeText(code.textContent ?? "");
        button.textContent = "Copied";
      } catch {
        // No clipboard here (plain http beyond localhost): selected, it can be copied by hand.
        getSelection()?.selectAllChildren(code);
      }
    });
  }
}
