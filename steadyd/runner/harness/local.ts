// Loaded by the harness under `steadyd run` only. It tells which files the app loaded and which it writes itself: the
// runner reloads on the first and never on the second. And it tells whom the app connects to, since a server would
// refuse some of them. What an app's subprocesses do it cannot see.

// Not by import: an import statement freezes a built-in module's named exports, and the app's would miss the wrappers.
const fs: typeof import("node:fs") = require("node:fs");
const { resolve }: typeof import("node:path") = require("node:path");
const { fileURLToPath } = Bun;

const LOOK_MS = 300; // how often the list of loaded modules is compared
const REMEMBERED_MAX = 10_000; // written files told once; past it they may be told again
const TARGETS_MAX = 1_000; // targets told once; the runner needs no more
const MODULES_MAX = 200; // files in one "modules" line

type Report = (event: string, fields: object) => void;
type Callable = (...values: any[]) => any;

// Functions of node:fs and node:fs/promises by the argument that names what is written; each has up to three forms.
const FIRST = "writeFile appendFile truncate mkdir rmdir rm unlink createWriteStream".split(" ");
const SECOND = "copyFile cp link symlink rename".split(" ");
const SIDE_FILES = ["-wal", "-shm", "-journal"];

export function watch(report: Report): void {
  watchModules(report);
  const written = tellOnce(report);
  watchFiles(written);
  watchBun(written);
  watchDatabases(written);
  watchConnections(report);
}

function watchModules(report: Report): void {
  const told = new Set<string>();
  const look = () => {
    const loaded = Object.keys(require.cache);
    const files = loaded.filter((file) => !told.has(file) && !file.startsWith(import.meta.dir) && file.startsWith("/"));
    const own = files.filter((file) => !file.includes("/node_modules/"));
    for (const file of files) told.add(file);
    for (let from = 0; from < own.length; from += MODULES_MAX)
      report("modules", { files: own.slice(from, from + MODULES_MAX) });
  };
  setInterval(look, LOOK_MS).unref();
  setTimeout(look, 0).unref();
  process.on("exit", look);
}

function tellOnce(report: Report): (path: unknown) => void {
  const told = new Set<string>();
  return (path) => {
    const file = asPath(path);
    if (file === undefined || told.has(file)) return;
    if (told.size >= REMEMBERED_MAX) told.clear();
    told.add(file);
    report("wrote", { file });
  };
}

function watchFiles(written: (path: unknown) => void): void {
  for (const owner of [fs, fs.promises] as Record<string, any>[]) {
    for (const name of FIRST) wrapForms(owner, name, (path) => written(path));
    for (const name of SECOND) wrapForms(owner, name, (_, path) => written(path));
    wrapForms(owner, "rename", (path) => written(path));
    wrapForms(owner, "open", (path, flags) => {
      if (writes(flags)) written(path);
    });
  }
}

function watchBun(written: (path: unknown) => void): void {
  wrap(Bun as never, "write", written);
  for (const name of ["write", "writer", "delete", "unlink"])
    wrap(Object.getPrototypeOf(Bun.file("/")), name, function (this: unknown) {
      written(this);
    });
}

function watchDatabases(written: (path: unknown) => void): void {
  const note = (path: unknown, options: any) => {
    if (typeof path !== "string" || !path || path === ":memory:" || options?.readonly || options?.readOnly) return;
    for (const suffix of ["", ...SIDE_FILES]) written(path + suffix);
  };
  for (const [module, name] of [["bun:sqlite", "Database"], ["node:sqlite", "DatabaseSync"]]) {
    const exported = require(module);
    const Database = new Proxy(exported[name], {
      construct(target, values: any[], newTarget) {
        note(values[0], values[1]);
        return Reflect.construct(target, values, newTarget);
      },
    });
    if (exported.default === exported[name]) exported.default = Database;
    exported[name] = Database;
  }
}

function watchConnections(report: Report): void {
  const told = new Set<string>();
  const reached = (host: unknown, port: unknown) => {
    const target = `${String(host || "localhost").replace(/^\[|\]$/g, "")} ${Number(port)}`;
    if (!Number(port) || told.has(target) || told.size >= TARGETS_MAX) return;
    told.add(target);
    report("reached", { target });
  };
  const asked = (url: unknown) => {
    const text = url instanceof Request ? url.url : String(url);
    const { protocol, hostname, port } = URL.parse(text) ?? {};
    if (hostname) reached(hostname, port || (/^(https|wss):$/.test(protocol!) ? 443 : 80));
  };
  wrap(globalThis as never, "fetch", (url, options) => options?.unix || asked(url));
  wrap(Bun as never, "connect", (options) => options?.unix || reached(options?.hostname, options?.port));
  // node:http, node:https, node:tls and whatever speaks to a database end here, with options that were made even.
  wrap(require("node:net").Socket.prototype, "connect", (first, second) => {
    const [options] = Array.isArray(first) ? first : [first];
    if (typeof options !== "object") reached(typeof second === "string" ? second : "", options);
    else if (!options?.path || options.port) reached(options?.host ?? options?.hostname, options?.port);
  });
  globalThis.WebSocket = new Proxy(WebSocket, {
    construct(target, values: any[], newTarget) {
      asked(values[0]);
      return Reflect.construct(target, values, newTarget);
    },
  });
}

// Private

function wrapForms(owner: Record<string, any>, name: string, before: Callable): void {
  for (const form of [name, name + "Sync"]) if (typeof owner[form] === "function") wrap(owner, form, before);
}

function wrap(owner: Record<string, any>, name: string, before: Callable): void {
  const real: Callable = owner[name];
  const wrapped = function (this: unknown, ...values: unknown[]) {
    before.apply(this, values);
    return real.apply(this, values);
  };
  owner[name] = Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(real));
}

function writes(flags: unknown): boolean {
  if (typeof flags === "number") return (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;
  return typeof flags === "string" && /[wa+]/.test(flags);
}

// The absolute path of a string, Buffer, file URL or BunFile; nothing for descriptors, pipes and blobs without a file.
function asPath(path: unknown): string | undefined {
  if (path instanceof Blob) path = (path as File).name;
  if (path instanceof URL) path = path.protocol === "file:" ? fileURLToPath(path) : undefined;
  if (path instanceof Uint8Array) path = new TextDecoder().decode(path);
  if (typeof path !== "string" || !path || path.includes("\0")) return undefined;
  return path.startsWith("file://") ? fileURLToPath(path) : resolve(path);
}
