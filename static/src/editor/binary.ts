// A file that is no text, or too much of it: what is known of it, and what can be done with it.

import { make } from "../lib/dom";
import { size } from "../lib/shown";
import type { Content } from "../lib/desk";
import { bytesOf, contentOf } from "./dropped";
import { EDITED_BYTES_MAX, type Editing } from "./editing";
import { nameOf } from "./paths";
import { isAbsent, isText, sizeOf } from "./workspace";

const IMAGES: Record<string, string> = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", avif: "image/avif", ico: "image/x-icon",
};
/** Bytes of an image that is shown. */
const IMAGE_BYTES_MAX = 4 << 20;

/** What stands in the editor's place for `path`; null where the editor shows it. */
export function binaryView(path: string, editing: Editing): HTMLElement | null {
  const held = editing.workspace.read(path);
  if (held === undefined || editing.isEdited(path)) return null;
  if (isAbsent(held)) return make("div", { className: "binary" }, make("p", {}, `${path}, ${size(held.size)}`), make("p", { className: "hint", role: "status" }, "Loading…"));
  const why = isText(held) ? `Texts up to ${size(EDITED_BYTES_MAX)} are edited here.` : "It is no text.";
  const view = make("div", { className: "binary" }, ...image(path, held), make("p", {}, make("b", {}, path), ` ${size(sizeOf(held))}`), make("p", { className: "hint" }, why));
  view.append(make("div", { className: "choices" }, replacing(path, editing), downloading(path, held)));
  return view;
}

/** Hand a file to the browser as a download. */
export function download(path: string, content: Content): void {
  const url = URL.createObjectURL(new Blob([bytesOf(content)]));
  make("a", { href: url, download: nameOf(path) }).click();
  setTimeout(() => URL.revokeObjectURL(url));
}

// Private

function image(path: string, content: Content): HTMLElement[] {
  const type = IMAGES[path.slice(path.lastIndexOf(".") + 1).toLowerCase()];
  if (!type || typeof content === "string" || sizeOf(content) > IMAGE_BYTES_MAX) return [];
  return [make("img", { src: `data:${type};base64,${content.base64}`, alt: `The image ${path}` })];
}

function replacing(path: string, editing: Editing): HTMLElement {
  const input = make("input", { type: "file", className: "unseen", ariaLabel: `Another file for ${path}`, tabIndex: -1 });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    if (file) editing.replace(path, contentOf(new Uint8Array(await file.arrayBuffer())));
  });
  const button = make("button", { type: "button" }, "Replace…");
  button.addEventListener("click", () => input.click());
  return make("span", {}, button, input);
}

function downloading(path: string, content: Content): HTMLElement {
  const button = make("button", { type: "button" }, "Download");
  button.addEventListener("click", () => download(path, content));
  return button;
}
