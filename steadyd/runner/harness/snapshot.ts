// Run in an app's sandbox, as the app, in its folder: copies what the app has written to another folder.
//
//   bun --no-install snapshot.ts DEST [--shipped LIST.json] [--kept LIST.json] [--max-bytes N] [--max-files N]
//
// The first LIST.json is an array of the version's own paths, which are left out; a database among them has been the
// app's since it was first opened and is copied. The second names databases that are in DEST already. Links, pipes,
// sockets, devices, node_modules and what Litestream keeps beside a database are left out, too.
//
// Databases come last and together; the JSON on standard output tells the moment of each, in ms since 1970.
// Exit codes: 0 done, 1 failed, 2 usage, 3 a limit was reached: DEST is incomplete and worth nothing.

import { accessSync, constants, copyFileSync, lstatSync, mkdirSync } from "node:fs";
import { readdirSync, readFileSync, utimesSync, type Stats } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { copyTogether, discard, isDatabase, type Pair, SIDE_FILES } from "./database.ts";

const SKIPPED_LISTED_MAX = 100;
const LIMIT_REACHED = 3;
const PATH_BYTES_MAX = 4_000; // the kernel takes 4,096 (path_resolution(7)), and DEST comes before it
const TOGETHER_MAX = 100; // databases that are held open at a time
const REPLICATION = /^\..+-litestream$/; // of the original's history, which the copy does not share

type Skipped = { path: string; reason: string };

const { destination, shipped, kept, maxBytes, maxFiles } = parse();
const shippedFolders = new Set([...shipped].flatMap(parentsOf));
const databases: string[] = [];
const moments: Record<string, number> = {};
const found: (Pair & { stats: Stats })[] = [];
const skipped: Skipped[] = [];
let files = 0; // folders count as well: a million empty ones are as bad
let bytes = 0;

mkdirSync(destination, { recursive: true });
for (const folders = [""]; folders.length; ) visit(folders.pop()!, folders);
while (found.length) takeDatabases(found.splice(0, TOGETHER_MAX));
console.log(JSON.stringify({ databases, moments, files, bytes, skipped }));

function visit(folder: string, folders: string[]): void {
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const found = look(path);
    if (found?.isDirectory()) {
      if (name === "node_modules" || REPLICATION.test(name) || resolve(path) === destination) continue;
      if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
        skip(path.slice(0, 100) + "…", "its path is too long");
        continue;
      }
      folders.push(path);
      if (!shippedFolders.has(path)) {
        count(0);
        mkdirSync(join(destination, path), { recursive: true });
      }
    } else if (found?.isFile()) take(path, found);
    else skip(path, found ? "not a regular file" : "its name is no text, or it vanished meanwhile");
  }
}

function take(path: string, stats: Stats): void {
  if (besideDatabase(path)) return;
  attempt(path, () => {
    const database = isDatabase(path);
    if (shipped.has(path) && !(database && writable(path))) return;
    count(stats.size + (database ? (look(path + "-wal")?.size ?? 0) : 0));
    if (database && kept.has(path)) {
      databases.push(path);
      return;
    }
    const target = join(destination, path);
    mkdirSync(dirname(target), { recursive: true });
    if (database) found.push({ from: path, to: target, stats });
    else {
      copyFileSync(path, target, constants.COPYFILE_FICLONE);
      utimesSync(target, stats.atime, stats.mtime);
    }
  });
}

function takeDatabases(together: typeof found): void {
  const times = new Map(together.map(({ from, stats }) => [from, stats]));
  copyTogether(together, ({ from, to }, at, error) =>
    attempt(from, () => {
      if (error) takeDamaged(from, to, error);
      else {
        databases.push(from);
        moments[from] = at;
      }
      const { atime, mtime } = times.get(from)!;
      utimesSync(to, atime, mtime);
    }),
  );
}

function takeDamaged(path: string, target: string, error: any): void {
  if (!/CORRUPT|NOTADB/.test(error.code)) throw error;
  discard(target); // a damaged one is kept as it is: somebody may want to rescue its rows
  for (const suffix of ["", ...SIDE_FILES])
    if (look(path + suffix)?.isFile()) copyFileSync(path + suffix, target + suffix);
  skip(path, "a damaged database, copied as it is");
}

function attempt(path: string, work: () => void): void {
  try {
    work();
  } catch (error: any) {
    if (!["ENOENT", "EACCES", "ELOOP", "ENAMETOOLONG"].includes(error.code)) fail(1, `${path}: ${error.message}`);
    skip(path, error.code === "ENOENT" ? "vanished meanwhile" : "cannot be read");
  }
}

// The log, index or journal of a database goes with it; of an empty file it is a database that is just being made.
function besideDatabase(path: string): boolean {
  const suffix = SIDE_FILES.find((ending) => path.endsWith(ending));
  if (!suffix) return false;
  const owner = path.slice(0, -suffix.length);
  const found = look(owner);
  return found?.isFile() === true && (found.size === 0 || isDatabase(owner));
}

function count(size: number): void {
  files += 1;
  bytes += size;
  if (files > maxFiles) fail(LIMIT_REACHED, `more than ${maxFiles} files`);
  if (bytes > maxBytes) fail(LIMIT_REACHED, `more than ${maxBytes} bytes`);
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // for example a path that is too long
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder || ".");
  } catch {
    skip(folder, "cannot be read");
    return [];
  }
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function skip(path: string, reason: string): void {
  if (skipped.length < SKIPPED_LISTED_MAX) skipped.push({ path, reason });
}

function parentsOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

function parse() {
  const text = { type: "string" } as const;
  try {
    const { values, positionals } = parseArgs({
      args: process.argv.slice(2),
      options: { shipped: text, kept: text, "max-bytes": text, "max-files": text },
      allowPositionals: true,
    });
    if (positionals.length !== 1) throw new Error("one DEST is expected");
    return {
      destination: resolve(positionals[0]),
      shipped: listed(values.shipped),
      kept: listed(values.kept),
      maxBytes: limit(values["max-bytes"]),
      maxFiles: limit(values["max-files"]),
    };
  } catch (error: any) {
    return fail(2, error.message);
  }
}

function listed(path: string | undefined): Set<string> {
  return new Set<string>(path ? JSON.parse(readFileSync(path, "utf8")) : []);
}

function limit(text: string | undefined): number {
  if (text !== undefined && !/^\d+$/.test(text)) throw new Error(`not a number: ${text}`);
  return text === undefined ? Infinity : Number(text);
}

function fail(code: number, message: string): never {
  console.error(`snapshot: ${message}`);
  process.exit(code);
}
