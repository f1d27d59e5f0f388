// Files, folders and zips that are dropped anywhere on the page, or picked, become files of the draft.

import { make } from "../lib/dom";
import { arrange, DROPPED_BYTES_MAX, DROPPED_FILES_MAX, type Taken } from "./dropped";
import type { Editing } from "./editing";

/** Listen for what is dropped on the page; `tell` says what came of it. */
export function dropZone(editing: Editing, tell: (words: string) => void): void {
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const sign = make("div", { className: "dropping", hidden: true }, make("p", {}, "Drop files, a folder or a zip: they become files of the app."));
  document.body.append(sign);
  let depth = 0;
  const shown = (on: boolean) => (sign.hidden = !on);
  document.addEventListener("dragenter", (event) => {
    if (hasFiles(event)) shown(++depth > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (hasFiles(event)) shown(--depth > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    shown(false);
    // The items are gone after the first wait.
    const entries = [...event.dataTransfer!.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
    const files: [string, File][] = [];
    for (const entry of entries) await walk(entry, "", files);
    await takeFiles(files, editing, tell);
  });
}

/** Have the person pick files, or a folder. */
export function pick(folder: boolean, editing: Editing, tell: (words: string) => void): void {
  const input = make("input", { type: "file", multiple: true, webkitdirectory: folder });
  input.addEventListener("change", () => takeFiles([...(input.files ?? [])].map((file) => [file.webkitRelativePath || file.name, file]), editing, tell));
  input.click();
}

/** What is said of files that were taken. */
export function sayTaken(taken: Taken, refused: Record<string, string>): string {
  const left = Object.entries({ ...taken.left, ...refused });
  const count = Object.keys(taken.files).length - Object.keys(refused).length;
  const words = `${count} file${count === 1 ? " is" : "s are"} part of the draft now.`;
  if (!left.length) return words;
  const shown = left.slice(0, 3).map(([path, why]) => `${path} (${why})`);
  return `${words} Left out: ${shown.join(", ")}${left.length > 3 ? `, and ${left.length - 3} more` : ""}.`;
}

// Private

async function takeFiles(given: [string, File][], editing: Editing, tell: (words: string) => void): Promise<void> {
  const found = new Map<string, Uint8Array>();
  let bytes = 0;
  try {
    for (const [path, file] of given) {
      bytes += file.size;
      if (bytes > DROPPED_BYTES_MAX) throw new Error(`These are more than ${DROPPED_BYTES_MAX >> 20} MiB. Send them by “steadyd deploy”.`);
      const content = new Uint8Array(await file.arrayBuffer());
      if (!/\.zip$/i.test(path)) found.set(path, content);
      else for (const [inside, each] of await unzip(content)) found.set(inside, each);
    }
  } catch (error) {
    tell(`Nothing was taken. ${error instanceof Error ? error.message : error}`);
    return;
  }
  const taken = arrange(found);
  const refused = editing.take(taken.files);
  const first = Object.keys(taken.files).find((path) => !(path in refused));
  if (first) editing.show(first);
  tell(sayTaken(taken, refused));
}

/** What is in a zip, within bounds that are checked before anything is unpacked. */
async function unzip(content: Uint8Array): Promise<Map<string, Uint8Array>> {
  const { unzipSync } = await import("fflate");
  let bytes = 0;
  let files = 0;
  const inside = unzipSync(content, {
    filter({ name, originalSize }) {
      if (name.endsWith("/") || /(^|\/)(node_modules|\.git)\//.test(name)) return false;
      bytes += originalSize;
      if (bytes > DROPPED_BYTES_MAX) throw new Error(`The zip holds more than ${DROPPED_BYTES_MAX >> 20} MiB.`);
      if (++files > DROPPED_FILES_MAX) throw new Error(`The zip holds more than ${DROPPED_FILES_MAX} files.`);
      return true;
    },
  });
  return new Map(Object.entries(inside));
}

/** The files of an entry, folders with all that is in them; what will not be taken is not read. */
async function walk(entry: FileSystemEntry | File | null, prefix: string, files: [string, File][]): Promise<void> {
  if (!entry || files.length > DROPPED_FILES_MAX) return;
  if (entry instanceof File) {
    files.push([prefix + entry.name, entry]);
  } else if (entry.isFile) {
    files.push([prefix + entry.name, await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed))]);
  } else if (!/^(node_modules|\.git)$/.test(entry.name)) {
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    // A reader tells a hundred at a time.
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      for (const each of some) await walk(each, `${prefix}${entry.name}/`, files);
    }
  }
}
