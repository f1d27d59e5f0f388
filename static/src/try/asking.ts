// A request that is built by hand: as the API takes it, as curl writes it, and as it is remembered.

export interface Asking {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  preview: boolean;
}

export const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];

/** Requests that are remembered for one app, the newest first, and the characters of one that is. */
export const REMEMBERED_MAX = 20;
export const REMEMBERED_CHARACTERS_MAX = 16_000;

/** Whether a request with this method has a body, as browsers see it. */
export const mayHaveBody = (method: string): boolean => method !== "GET" && method !== "HEAD";

/** Rows of name and value as headers; a row without a name says nothing. */
export function headersOf(rows: Iterable<[string, string]>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of rows) if (name.trim()) headers[name.trim()] = value.trim();
  return headers;
}

/** A path as it goes over the wire: what a browser would write in percent signs is written so. */
export function wirePath(typed: string): string {
  const path = `/${typed.trim().replace(/^[/\\]+/, "")}`;
  return new URL(path.replaceAll("#", "%23"), "http://x").href.slice("http://x".length);
}

/** The curl line that asks the same of `origin`. */
export function curl(origin: string, asking: Asking): string {
  const words = ["curl", "-i"];
  if (asking.method === "HEAD") words.push("-I");
  else if (asking.method !== "GET") words.push("-X", asking.method);
  for (const [name, value] of Object.entries(asking.headers)) words.push("-H", quoted(`${name}: ${value}`));
  if (asking.body && mayHaveBody(asking.method)) words.push("--data-raw", quoted(asking.body));
  words.push(quoted(origin + wirePath(asking.path)));
  return words.join(" ");
}

/** Those that are remembered once `asking` was asked. */
export function remembering(former: Asking[], asking: Asking): Asking[] {
  const same = JSON.stringify(asking);
  if (same.length > REMEMBERED_CHARACTERS_MAX) return former;
  return [asking, ...former.filter((one) => JSON.stringify(one) !== same)].slice(0, REMEMBERED_MAX);
}

/** What was stored, as far as it is what we store. */
export function remembered(stored: string | null): Asking[] {
  try {
    const found: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(found) ? found.filter(isAsking).slice(0, REMEMBERED_MAX) : [];
  } catch {
    return [];
  }
}

function isAsking(found: unknown): found is Asking {
  const one = found as Partial<Asking> | null;
  return typeof one?.method === "string" && METHODS.includes(one.method) && typeof one.path === "string" && typeof one.body === "string"
    && typeof one.preview === "boolean" && typeof one.headers === "object" && one.headers !== null
    && Object.values(one.headers).every((value) => typeof value === "string");
}

/** For a POSIX shell. A line break or a quote is as it is between quotes, but for the quote itself. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
