// Comma-separated values (RFC 4180) that come back as they went: NULL is nothing between two commas, an empty TEXT is "",
// a BLOB is x'00ff' as SQL has it. Where there is one column, an empty line is a NULL; elsewhere it is nothing.

import { BadText, type Held, realText } from "./value.ts";

const RECORD_BYTES_MAX = 72 << 20; // a value of 32 MiB in hexadecimal digits, and something around it

export type Cell = string | null;
export type Record = { cells: Cell[]; line: number };

export function csvLine(values: Held[]): string {
  return values.map(cell).join(",") + "\n";
}

export function cell(value: Held): string {
  if (value === null) return "";
  if (value instanceof Uint8Array) return `x'${hex(value)}'`;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? realText(value) : value > 0 ? "9e999" : "-9e999";
  const text = value instanceof BadText ? Buffer.from(value.bytes).toString() : value;
  return text === "" || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

// Records of a text that comes piece by piece. A record's line is the one on which it begins.
export class Reader {
  private text = "";
  private line = 1;
  private single?: boolean; // there is one column

  constructor(private readonly delimiter: string) {}

  *push(piece: string, last = false): Generator<Record> {
    this.text += piece;
    if (this.text.length > RECORD_BYTES_MAX) throw new RangeError(`line ${this.line}: the record has no end`);
    let at = 0;
    for (let record; at < this.text.length && (record = this.record(at, last)); at = record.end) {
      const empty = record.cells.length === 1 && record.cells[0] === null;
      if (!empty) this.single ??= record.cells.length === 1;
      if (!empty || this.single) yield { cells: record.cells, line: this.line };
      this.line += record.lines;
    }
    this.text = this.text.slice(at);
  }

  private record(start: number, last: boolean): { cells: Cell[]; end: number; lines: number } | undefined {
    const cells: Cell[] = [];
    let lines = 0;
    for (let at = start; ; ) {
      let value: Cell = null;
      if (this.text[at] === '"') {
        const end = this.quoteEnd(at + 1);
        if (end < 0 || (end + 1 === this.text.length && !last)) {
          if (last) throw new RangeError(`line ${this.line}: a quotation mark is not closed`);
          return undefined;
        }
        value = this.text.slice(at + 1, end).replaceAll('""', '"');
        for (let nl = value.indexOf("\n"); nl >= 0; nl = value.indexOf("\n", nl + 1)) lines++;
        at = end + 1;
      } else {
        let end = at;
        while (end < this.text.length && this.text[end] !== this.delimiter && this.text[end] !== "\n" && this.text[end] !== "\r") end++;
        value = end > at ? this.text.slice(at, end) : null;
        at = end;
      }
      cells.push(value);
      if (at >= this.text.length) return last ? { cells, end: at, lines } : undefined;
      if (this.text[at] === this.delimiter) {
        at++;
        if (at >= this.text.length && !last) return undefined;
        continue;
      }
      if (this.text[at] === "\r") {
        if (at + 1 >= this.text.length && !last) return undefined;
        if (this.text[at + 1] === "\n") at++;
      } else if (this.text[at] !== "\n") throw new RangeError(`line ${this.line + lines}: something follows a closing quotation mark`);
      return { cells, end: at + 1, lines: lines + 1 };
    }
  }

  private quoteEnd(at: number): number {
    for (;;) {
      const end = this.text.indexOf('"', at);
      if (end < 0 || this.text[end + 1] !== '"') return end;
      at = end + 2;
    }
  }
}
