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

// Under a read transaction nothing but the log's committed part reaches the file, and the log is not started over.
// So the log first, then the file, both cut anywhere, recover to a committed state at or after the transaction's.
function copyPinned(from: string, to: string, parts: string[]): void {
  const opened: number[] = [];
  const source = new Database(from, { readwrite: true, create: false });
  try {
    source.exec(`PRAGMA busy_timeout = ${BUSY_MS_MAX}`);
    source.exec("BEGIN");
    source.query("SELECT count(*) FROM sqlite_schema").get();
    for (const part of parts) copyKeptOpen(from + part, to + part, opened);
  } finally {
    source.close();
    // Closing any descriptor of a file drops all of this process's POSIX locks on it, SQLite's too: so only now.
    opened.forEach((fd) => closeSync(fd));
  }
  const copy = new Database(to, { readwrite: true, create: false });
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
