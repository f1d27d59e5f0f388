// Code in a link.

const FIELD = "#code=";

/** The code in a fragment such as `#code=export%20default…`; null without one, undefined where it cannot be read. */
export function codeOf(hash: string): string | null | undefined {
  if (!hash.startsWith(FIELD)) return null;
  try {
    return decodeURIComponent(hash.slice(FIELD.length)).replace(/\r\n?/g, "\n");
  } catch {
    return undefined;
  }
}
