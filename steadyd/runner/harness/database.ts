// Copies one SQLite database page for page while another process may be writing to it, without ever making that process
// wait or fail. VACUUM INTO would renumber the rows of tables that have no integer key; Database.serialize would hold
// the whole file in memory; and in rollback mode either one's read lock fails the writes of an app that has set no
// busy_timeout, which is Bun's default.

import { Database } from "bun:sqlite";
import { closeSync, constants, copyFileSync, fstatSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";

export const SIDE_FILES = ["-wal", "-shm", "-journal"];

const MAGIC = "SQLite format 3\0";
const HEADER_BYTES = 100;
const WRITE_VERSION_AT = 18; // 1 rollback journal, 2 write-ahead log
const QUIET_MS_MAX = 1_000;
const QUIET_WAIT_MS = 3;
const BUSY_MS_MAX = 5_000;
const CHUNK_BYTES = 1 << 20;
const LARGE_BYTES = 16 << 20;
const COPY_BYTES = 1 << 30; // asked of the kernel at once

export function isDatabase(path: string): boolean {
  return head(path, MAGIC.length).toString("latin1") === MAGIC;
}

export function copyDatabase(from: string, to: string): void {
  if (head(from, HEADER_BYTES)[WRITE_VERSION_AT] === 2) copyPinned(from, to, ["-wal", ""]);
  else if (!copyQuiet(from, to)) copyPinned(from, to, [""]);
}

// Rollback mode, without a lock: right if nothing was written meanwhile. Whoever writes the file keeps a journal
// beside it from before the first page to after the last one, and leaves a changed header or time behind.
function copyQuiet(from: string, to: string): boolean {
  const deadline = performance.now() + QUIET_MS_MAX;
  do {
    const before = stillness(from);
    if (before) {
      copyFileSync(from, to, constants.COPYFILE_FICLONE);
      if (stillness(from) === before) return true;
    }
    Bun.sleepSync(QUIET_WAIT_MS * Math.random());
  } while (performance.now() < deadline);
  return false;
}

function stillness(path: string): string | undefined {
  const journal = head(path + "-journal", 1);
  if (journal.length && journal[0] !== 0) return undefined; // journal_mode=PERSIST keeps a zeroed one
  const { size, mtimeNs, ino } = statSync(path, { bigint: true });
  return [head(path, HEADER_BYTES).toString("hex"), size, mtimeNs, ino].join();
}

function copyPinned(from: string, to: string, parts: string[]): void {
  const pinned = new Pinned(from, to);
  try {
    for (const part of parts) pinned.copy(part);
  } finally {
    pinned.close();
  }
  recover(to);
}

export type Pair = { from: string; to: string };

// All as of one moment, as near as can be: every read transaction begins before the first byte is copied, and the logs,
// which decide what the moment is, come one right after the other. `done` is told each one's moment, or what went wrong.
export function copyTogether(pairs: Pair[], done: (pair: Pair, at: number, error?: any) => void): void {
  const tried = (pair: Pair, work: () => void): boolean => {
    try {
      work();
      return true;
    } catch (error) {
      done(pair, 0, error);
      return false;
    }
  };
  const quiet: Pair[] = [];
  const held: [Pair, Pinned][] = [];
  for (const pair of pairs)
    tried(pair, () => {
      const isLogged = head(pair.from, HEADER_BYTES)[WRITE_VERSION_AT] === 2;
      if (isLogged) held.push([pair, new Pinned(pair.from, pair.to)]);
      else quiet.push(pair);
    });
  const logged = held.filter(([pair, pinned]) => tried(pair, () => pinned.copyLog()));
  for (const pair of quiet) {
    const at = Date.now();
    if (tried(pair, () => copyQuiet(pair.from, pair.to) || copyPinned(pair.from, pair.to, [""]))) done(pair, at);
  }
  const copied = logged.filter(([pair, pinned]) => tried(pair, () => pinned.copy("")));
  for (const [, pinned] of held) pinned.close();
  for (const [pair, pinned] of copied) if (tried(pair, () => recover(pair.to))) done(pair, pinned.at);
}

// Under a read transaction nothing but the log's committed part reaches the file, and the log is not started over.
// So the log first, then the file, both cut anywhere, recover to a committed state at or after the transaction's.
class Pinned {
  at = 0;
  readonly #source: Database;
  readonly #opened: number[] = [];

  constructor(
    readonly from: string,
    readonly to: string,
  ) {
    this.#source = new Database(from, { readwrite: true, create: false });
    try {
      this.#source.exec(`PRAGMA busy_timeout = ${BUSY_MS_MAX}`);
      this.#source.exec("BEGIN");
      this.#source.query("SELECT count(*) FROM sqlite_schema").get();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  copyLog(): void {
    this.copy("-wal");
    this.at = Date.now();
  }

  copy(part: string): void {
    copyKeptOpen(this.from + part, this.to + part, this.#opened);
  }

  close(): void {
    this.#source.close();
    // Closing any descriptor of a file drops all of this process's POSIX locks on it, SQLite's too: so only now.
    this.#opened.splice(0).forEach((fd) => closeSync(fd));
  }
}

function recover(path: string): void {
  const copy = new Database(path, { readwrite: true, create: false });
  copy.exec("PRAGMA synchronous = OFF");
  copy.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  copy.close();
}

function copyKeptOpen(from: string, to: string, opened: number[]): void {
  const source = tryOpen(from);
  if (source === undefined) return; // no log is an empty log
  opened.push(source);
  const target = openSync(to, "w");
  if (fstatSync(source).size >= LARGE_BYTES) copyInKernel(source, target);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let read = 1; read > 0; ) {
    read = readSync(source, chunk);
    for (let sent = 0; sent < read; ) sent += writeSync(target, chunk, sent, read - sent);
  }
  closeSync(target);
}

// As far as the kernel can: by sharing the blocks where the file system does that (Btrfs, XFS), else without a way
// through our memory. What it leaves is read and written.
function copyInKernel(source: number, target: number): void {
  try {
    const { dlopen, FFIType } = require("bun:ffi");
    const { i32, ptr, u64, u32, i64 } = FFIType;
    const copy = { args: [i32, ptr, i32, ptr, u64, u32], returns: i64 }; // copy_file_range(2)
    const { symbols } = dlopen("libc.so.6", { copy_file_range: copy });
    while (symbols.copy_file_range(source, null, target, null, COPY_BYTES, 0) > 0);
  } catch {} // another libc: then as every small one
}

// The first bytes of a regular file; none if there is no such file.
function head(path: string, bytes: number): Buffer {
  const fd = tryOpen(path);
  if (fd === undefined) return Buffer.alloc(0);
  try {
    const buffer = Buffer.alloc(bytes);
    return buffer.subarray(0, readSync(fd, buffer, 0, bytes, 0));
  } finally {
    closeSync(fd);
  }
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error: any) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

export function discard(path: string): void {
  for (const suffix of ["", ...SIDE_FILES]) rmSync(path + suffix, { force: true });
}
