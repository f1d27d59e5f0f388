// Run in an app's sandbox, as the app: is a database that was brought back whole, and is it the live one? What is in
// either was the app's to write, so it is read here and nowhere else, and only read: nothing appears beside it.
//
//   bun --no-install restored.ts check FILE
//   bun --no-install restored.ts compare FILE      with STEADY_LIVE=PATH of the live database, of which nobody writes
//
// Prints one JSON object: {"ok": true}, or {"problem": "one sentence"}.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { committed, type Log } from "./wal.ts";

const HEAP_BYTES_MAX = 96 << 20; // SQLite's own, of the memory that this process may have
const HEADER_BYTES = 100;
const CHUNK_BYTES = 1 << 20;
const PENDING_BYTE = 0x40000000; // its page is never used (sqlite.org/fileformat.html, 1.4)

const [task, file] = process.argv.slice(2);
console.log(JSON.stringify(answer()));

function answer(): object {
  try {
    const problem = task === "check" ? checked(file) : compared(file, process.env.STEADY_LIVE!);
    return problem ? { problem: problem.slice(0, 300) } : { ok: true };
  } catch (error: any) {
    return { problem: String(error.message).slice(0, 300) };
  }
}

function checked(path: string): string | undefined {
  const found = open(path).prepare("PRAGMA integrity_check(1)").all() as { integrity_check: string }[];
  const said = String(found[0]?.integrity_check ?? "nothing was said");
  return said === "ok" ? undefined : said;
}

// Immutable: without locks and without a log, as nobody else has it.
function open(path: string): DatabaseSync {
  const options = { readOnly: true, allowExtension: false, defensive: true };
  const database = new DatabaseSync(`${pathToFileURL(path)}?immutable=1`, { ...options, limits: { attach: 0 } } as any);
  database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES_MAX}`);
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
  return database;
}

// Page by page: of the live one what its log holds committed, else what its file holds.
function compared(path: string, live: string): string | undefined {
  const [restored, main] = [openFile(path), openFile(live)];
  if (restored === undefined) return "there is no restored database";
  if (main === undefined) return "there is no live database any more";
  const wal = openFile(`${live}-wal`);
  try {
    const head = read(restored, 0, HEADER_BYTES);
    const pageBytes = pageSize(head);
    const log: Log = wal === undefined ? { pages: new Map(), size: 0 } : committed(wal, pageBytes);
    const pages = log.size || fstatSync(main).size / pageBytes;
    const found = fstatSync(restored).size / pageBytes;
    if (pages !== found) return `the live database has ${pages} pages of ${pageBytes} bytes, the restored one ${found}`;
    const different = differing(restored, main, wal, log, pageBytes, pages);
    return different ? `page ${different} differs from the live database's` : undefined;
  } finally {
    for (const fd of [restored, main, wal]) if (fd !== undefined) closeSync(fd);
  }
}

// The first page that differs; 0 if none does.
function differing(restored: number, main: number, wal: number | undefined, log: Log, bytes: number, pages: number): number {
  const step = Math.max(1, Math.floor(CHUNK_BYTES / bytes));
  const pending = PENDING_BYTE / bytes + 1;
  for (let first = 1; first <= pages; first += step) {
    const count = Math.min(step, pages - first + 1);
    const ours = read(restored, (first - 1) * bytes, count * bytes);
    const theirs = read(main, (first - 1) * bytes, count * bytes);
    for (let page = first; page < first + count; page++) {
      const at = log.pages.get(page);
      if (at !== undefined) read(wal!, at, bytes).copy(theirs, (page - first) * bytes);
      const [from, to] = [(page - first) * bytes, (page - first + 1) * bytes];
      if (page !== pending && ours.compare(theirs, from, to, from, to) !== 0) return page;
    }
  }
  return 0;
}

function pageSize(head: Buffer): number {
  const said = head.readUInt16BE(16);
  return said === 1 ? 65_536 : said;
}

// What is missing at the end stays zero.
function read(fd: number, at: number, bytes: number): Buffer {
  const found = Buffer.alloc(bytes);
  for (let done = 0, more = 1; done < bytes && more > 0; done += more) more = readSync(fd, found, done, bytes - done, at + done);
  return found;
}

function openFile(path: string): number | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) throw new Error("what lies there is no file");
    return fd;
  } catch (error: any) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}
