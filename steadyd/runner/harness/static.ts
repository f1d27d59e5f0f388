// The entry of an app that is only an index.html and what lies around it: serves the files of the working directory.

import { realpathSync, statSync, type Stats } from "node:fs";

const HIDDEN = new Set(["package.json", "steady.json"]); // beside every name that begins with a dot
const ROOT = realpathSync(process.cwd());

type Found = { path: string; size: number; modified: Date };

Bun.serve({ development: false, fetch: answer });

function answer(request: Request): Response {
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response("Method not allowed\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  const { pathname, search } = new URL(request.url);
  const names = namesOf(pathname);
  if (!names) return new Response("Bad request\n", { status: 400 });
  const found = find(names, pathname.endsWith("/"));
  if (found === "folder") return moved(names, search);
  return found ? send(request, found) : missing();
}

// The decoded names of a path, nothing for one that is not to be read at all.
function namesOf(pathname: string): string[] | undefined {
  try {
    const names = pathname.split("/").map(decodeURIComponent).filter(Boolean);
    return names.some((name) => /[/\\\0]/.test(name) || name === "..") ? undefined : names;
  } catch {
    return undefined; // a stray % sign
  }
}

function find(names: string[], asFolder: boolean): Found | "folder" | undefined {
  if (names.some(hidden)) return undefined;
  const path = ROOT + names.map((name) => "/" + name).join("");
  const found = look(path);
  if (found?.isDirectory()) {
    const index = find([...names, "index.html"], false);
    return asFolder || !index ? index : "folder";
  }
  if (!found?.isFile() || asFolder || !within(path)) return undefined;
  return { path, size: found.size, modified: found.mtime };
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // a name too long, a loop of links, a folder that may not be entered: nothing to serve
  }
}

function hidden(name: string): boolean {
  return name.startsWith(".") || HIDDEN.has(name);
}

// A link may lead anywhere, also to what is hidden.
function within(path: string): boolean {
  const real = realpathSync(path);
  return real.startsWith(ROOT + "/") && !real.slice(ROOT.length + 1).split("/").some(hidden);
}

// Relative links of a folder's index are right only below a slash. Built from names: `//host` must not become a host.
function moved(names: string[], search: string): Response {
  const location = "/" + names.map(encodeURIComponent).join("/") + "/" + search;
  return new Response(null, { status: 308, headers: { Location: location } });
}

function missing(): Response {
  const page = find(["404.html"], false);
  if (!page || page === "folder") return new Response("Not found\n", { status: 404 });
  return new Response(Bun.file(page.path), { status: 404 });
}

function send(request: Request, found: Found): Response {
  const file = Bun.file(found.path);
  const etag = `"${found.size.toString(36)}-${found.modified.getTime().toString(36)}"`;
  const headers = {
    ETag: etag,
    "Last-Modified": found.modified.toUTCString(),
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache", // keep it, but ask: a deploy shows at once
    "Content-Type": file.type,
  };
  if (unchanged(request, found, etag)) return new Response(null, { status: 304, headers });
  const range = rangeOf(request, found, etag);
  if (!range) return new Response(file, { headers });
  if (range.first > range.last)
    return new Response(null, { status: 416, headers: { ...headers, "Content-Range": `bytes */${found.size}` } });
  return new Response(file.slice(range.first, range.last + 1), {
    status: 206,
    headers: { ...headers, "Content-Range": `bytes ${range.first}-${range.last}/${found.size}` },
  });
}

// RFC 9110 section 13.2.2: If-None-Match wins over If-Modified-Since.
function unchanged(request: Request, found: Found, etag: string): boolean {
  const known = request.headers.get("if-none-match");
  if (known !== null) return known === "*" || known.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
  const since = Date.parse(request.headers.get("if-modified-since") ?? "");
  return Math.floor(found.modified.getTime() / 1000) * 1000 <= since;
}

// RFC 9110 section 14.2, one range; several are answered with the whole file. An unsatisfiable one has first > last.
function rangeOf(request: Request, { size }: Found, etag: string): { first: number; last: number } | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
  const condition = request.headers.get("if-range");
  if (request.method !== "GET" || (condition !== null && condition !== etag)) return undefined;
  if (!from) return to ? { first: Math.max(0, size - Number(to)), last: size - 1 } : undefined;
  if (to && Number(to) < Number(from)) return undefined;
  return { first: Number(from), last: Math.min(to ? Number(to) : size, size - 1) };
}
