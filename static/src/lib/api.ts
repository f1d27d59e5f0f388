// The JSON API, as the page asks it: with the session's cookie, and errors as they are in errors.py.

/** What the API refused. `code` is one of the error reference; "unreachable" where no answer of its came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** One call; `path` without /api. Returns the answer's JSON, undefined where it has none.
 *
 * Throws ApiError. */
export async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const sent: RequestInit = { method, headers: { accept: "application/json", ...headers } };
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers = { ...sent.headers, "content-type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(`/api${path}`, sent);
  } catch {
    throw new ApiError(0, "unreachable", "This host does not answer. Look at your connection, then try again.");
  }
  return read<T>(answer);
}

/** The JSON of an answer of the API. Throws ApiError. */
export async function read<T>(answer: Response): Promise<T> {
  if (answer.ok && answer.status === 204) return undefined as T;
  const said: unknown = await answer.json().catch(() => null);
  if (answer.ok && said !== null) return said as T;
  const error = (said as { error?: { code: string; message: string; details?: Record<string, unknown> } } | null)?.error;
  if (error) throw new ApiError(answer.status, error.code, error.message, error.details ?? {});
  throw new ApiError(answer.status, "unreachable", `This host answered ${answer.status}, and not as its API does. Try again.`);
}

/** The path of one app's calls. */
export const ofApp = (name: string, rest = ""): string => `/apps/${encodeURIComponent(name)}${rest}`;

/** A file's path in an address: its slashes stay. */
export const inPath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");
