// A file to import into a database: text into the form's field, a database as Base64 beside it.

import { all } from "../lib/dom";

export function imports(root: ParentNode): void {
  for (const input of all<HTMLInputElement>("[data-import]", root)) input.addEventListener("change", () => take(input));
}

async function take(input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  if (!file || !input.form) return;
  const field = (name: string) => input.form!.elements.namedItem(name) as HTMLInputElement;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const database = new TextDecoder().decode(bytes.subarray(0, 15)) === "SQLite format 3";
  field("base64").value = database ? base64(bytes) : "";
  field("content").value = database ? "" : new TextDecoder().decode(bytes);
  field("format").value = database ? "sqlite" : /\.sql$/i.test(file.name) ? "sql" : "csv";
  if (!field("into").value) field("into").value = file.name.replace(/\..*$/, "");
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
