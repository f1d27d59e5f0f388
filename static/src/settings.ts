// The settings page: a `.env` file that is dropped or chosen, and marks of what is secret before it is sent.

import { make, one } from "./lib/dom";
import { isSecret, names } from "./lib/dotenv";

const FILE_BYTES_MAX = 1 << 20;

const form = document.querySelector<HTMLFormElement>("form[data-env]");
if (form) environment(form);

function environment(form: HTMLFormElement): void {
  const lines = one<HTMLTextAreaElement>("textarea", form);
  const file = one<HTMLInputElement>("[data-env-file]", form);
  const said = new Map<string, boolean>();
  const draw = () => marks(one("[data-marks]", form), names(lines.value), said);
  const take = async (chosen: File | undefined) => {
    if (!chosen) return;
    if (chosen.size > FILE_BYTES_MAX) return lines.setCustomValidity("This file is too large for variables."), void lines.reportValidity();
    lines.setCustomValidity("");
    const text = await chosen.text();
    lines.value = lines.value.trim() ? `${lines.value.replace(/\n*$/, "\n")}${text}` : text;
    draw();
  };
  lines.addEventListener("input", () => (lines.setCustomValidity(""), draw()));
  file.addEventListener("change", () => void take(file.files?.[0]));
  for (const kind of ["dragover", "dragleave", "drop"] as const) {
    lines.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      lines.classList.toggle("dropping", kind === "dragover");
      if (kind === "drop") void take(event.dataTransfer.files[0]);
    });
  }
  draw();
}

/** One box per name; what the person said of a name stays while they type. */
function marks(box: HTMLElement, found: string[], said: Map<string, boolean>): void {
  box.replaceChildren(
    ...found.map((name) => {
      const secret = said.get(name) ?? isSecret(name);
      // Only what the name does not say by itself is sent: a form has so many fields.
      const sent = make("input", { type: "hidden", name: `mark:${name}`, value: secret ? "secret" : "plain", disabled: secret === isSecret(name) });
      const check = make("input", { type: "checkbox", checked: secret });
      check.addEventListener("change", () => {
        said.set(name, check.checked);
        sent.value = check.checked ? "secret" : "plain";
        sent.disabled = check.checked === isSecret(name);
      });
      return make("label", {}, check, sent, `${name} is secret`);
    }),
  );
}
