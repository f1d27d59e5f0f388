// What a write-ahead log holds committed: where in it the newest content of each page lies. It is read as SQLite reads it
// after a crash (sqlite.org/fileformat.html, section 4), and nothing is opened by SQLite: that would change files.

import { fstatSync, readSync } from "node:fs";

const MAGIC = 0x377f0682; // and one more where its checksums are big-endian
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const CHECKED_BYTES = 8; // of a frame's header, that its checksum covers

// Page → place of its content in the file; pages of the database after the last commit, 0 if none is committed.
export type Log = { pages: Map<number, number>; size: number };

export function committed(fd: number, pageBytes: number): Log {
  const pages = new Map<number, number>();
  const log: Log = { pages, size: 0 };
  const head = Buffer.alloc(HEADER_BYTES);
  if (readSync(fd, head, 0, HEADER_BYTES, 0) < HEADER_BYTES) return log;
  const magic = head.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC || head.readUInt32BE(8) !== pageBytes) return log;
  const sum = new Checksum((magic & 1) === 1);
  sum.add(head, 0, 24);
  if (!sum.is(head, 24)) return log;
  const salts = head.subarray(16, 24);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + pageBytes);
  const pending = new Map<number, number>();
  const end = fstatSync(fd).size;
  for (let at = HEADER_BYTES; at + frame.length <= end; at += frame.length) {
    if (readSync(fd, frame, 0, frame.length, at) < frame.length) break;
    if (!frame.subarray(8, 16).equals(salts)) break;
    sum.add(frame, 0, CHECKED_BYTES);
    sum.add(frame, FRAME_HEADER_BYTES, frame.length);
    if (!sum.is(frame, 16)) break;
    pending.set(frame.readUInt32BE(0), at + FRAME_HEADER_BYTES);
    const size = frame.readUInt32BE(4);
    if (!size) continue;
    for (const [page, place] of pending) pages.set(page, place);
    pending.clear();
    log.size = size;
  }
  return log;
}

class Checksum {
  private one = 0;
  private two = 0;

  constructor(private readonly big: boolean) {}

  add(content: Buffer, from: number, to: number): void {
    let [one, two] = [this.one, this.two];
    for (let at = from; at < to; at += 8) {
      one = (one + this.word(content, at) + two) >>> 0;
      two = (two + this.word(content, at + 4) + one) >>> 0;
    }
    [this.one, this.two] = [one, two];
  }

  is(content: Buffer, at: number): boolean {
    return content.readUInt32BE(at) === this.one && content.readUInt32BE(at + 4) === this.two;
  }

  private word(content: Buffer, at: number): number {
    return this.big ? content.readUInt32BE(at) : content.readUInt32LE(at);
  }
}
