// JSON in its usual form.

import type { Edit } from "./assistant";

/** What makes `text` JSON with two spaces of indent; null where it is none. */
export function formatJson(text: string): Edit[] | null {
  let made: string;
  try {
    made = `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return null;
  }
  return made === text ? [] : [{ from: 0, to: text.length, insert: made }];
}
