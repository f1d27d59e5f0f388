// What can be seen of a database in WAL mode from outside, without opening it: how long its log is, and who reads it.
// Sources: https://sqlite.org/walformat.html, section 2 (the index of the log and its locks), fcntl(2).
//
// A reader holds a lock on a mark, and the mark says up to which frame of the log it reads: what came later cannot be
// checkpointed past it. Since when it reads is written nowhere. A lock is seen whoever holds it, in whatever namespace.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

const HEADER_BYTES = 136;
const [MAX_FRAME_AT, BACKFILL_AT, MARKS_AT] = [16, 96, 100];
const MARKS = 5;
const READ_LOCK_AT = 123; // of mark 0
const [F_GETLK, F_WRLCK, F_UNLCK] = [5, 1, 2]; // Linux

export type Log = { wal_bytes: number; frames?: number; waiting?: number; readers?: number; behind?: number };

// `frames` in the log, those `waiting` to be checkpointed, marks that `readers` hold, and how many frames came since the
// oldest of them began.
export function logOf(path: string): Log {
  const log: Log = { wal_bytes: sizeOf(path + "-wal") };
  const fd = opened(path + "-shm");
  if (fd === undefined) return log;
  try {
    const head = Buffer.alloc(HEADER_BYTES);
    if (readSync(fd, head, 0, HEADER_BYTES, 0) < HEADER_BYTES) return log;
    const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
    const number = (at: number) => (little ? head.readUInt32LE(at) : head.readUInt32BE(at));
    log.frames = number(MAX_FRAME_AT);
    log.waiting = Math.max(0, log.frames - number(BACKFILL_AT));
    const held = heldMarks(fd);
    if (held === undefined) return log;
    log.readers = held.length;
    // Mark 0 is of who reads the file alone: everything in the log came later.
    const oldest = held.map((mark) => (mark === 0 ? number(BACKFILL_AT) : Math.min(number(MARKS_AT + 4 * mark), log.frames!)));
    if (oldest.length) log.behind = log.frames - Math.min(...oldest);
    return log;
  } finally {
    closeSync(fd); // this process has no SQLite of its own on this file: it would lose its locks by it
  }
}

// The marks that somebody holds; undefined where that cannot be asked.
function heldMarks(fd: number): number[] | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const { dlopen, FFIType, ptr } = require("bun:ffi");
    const { symbols } = dlopen("libc.so.6", { fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 } });
    return [...Array(MARKS).keys()].filter((mark) => {
      const lock = Buffer.alloc(32); // struct flock: type, whence, start, length, pid
      lock.writeInt16LE(F_WRLCK, 0);
      lock.writeBigInt64LE(BigInt(READ_LOCK_AT + mark), 8);
      lock.writeBigInt64LE(1n, 16);
      return symbols.fcntl(fd, F_GETLK, ptr(lock)) === 0 && lock.readInt16LE(0) !== F_UNLCK;
    });
  } catch {
    return undefined; // another libc
  }
}

function sizeOf(path: string): number {
  const fd = opened(path);
  if (fd === undefined) return 0;
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

function opened(path: string): number | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch {}
  return undefined;
}
