// What is taken out of a database, as a file in FOLDER/made: a table or a query as CSV, JSON, lines of JSON or SQL, or all of
// it as SQL or as a database. It is written whole before anybody reads it: so a reader that is slow holds no log of the
// app's, and what fails is told instead of half a file.

import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { csvLine, hex } from "./csv.ts";
import { copyDatabase } from "./database.ts";
import { stepsOf } from "./dump.ts";
import { Refusal, openReading, writeVersion } from "./guard.ts";
import { reading, repaired } from "./rows.ts";
import { quoted, tableOf } from "./table.ts";
import { BadText, type Held, realText } from "./value.ts";

const CHUNK_BYTES = 1 << 20;

type Wanted = { file: string; format: "csv" | "json" | "ndjson" | "sql" | "sqlite"; table: string; sql: string; bytes: number };
type Found = { name: string; columns: string[]; rows: Iterable<Held[]> };

export function take(wanted: Wanted, folder: string): object {
  const path = join(folder, "made");
  if (wanted.format === "sqlite") return whole(wanted, path);
  const out = new Out(path, wanted.bytes);
  const database = openReading(wanted.file, folder);
  let rows = 0;
  if (wanted.format === "sql" && !wanted.sql) rows = dumped(database, wanted.table || undefined, out);
  else {
    const found = wanted.sql ? queried(database, wanted.sql) : tabled(database, wanted.table);
    const write = WRITERS[wanted.format as keyof typeof WRITERS](out, found);
    for (const values of found.rows) write(values, rows++);
    if (wanted.format === "json") out.write(rows ? "\n]\n" : "[]\n");
    if (wanted.format === "sql") out.write("COMMIT;\n");
  }
  return { rows, bytes: out.end() };
}

const WRITERS = {
  csv: (out: Out, { columns }: Found) => {
    out.write(csvLine(columns));
    return (values: Held[]) => out.write(csvLine(values));
  },
  json: (out: Out, { columns }: Found) => {
    const names = keysOf(columns);
    return (values: Held[], index: number) => out.write((index ? ",\n" : "[\n") + object(names, values));
  },
  ndjson: (out: Out, { columns }: Found) => {
    const names = keysOf(columns);
    return (values: Held[]) => out.write(object(names, values) + "\n");
  },
  sql: (out: Out, { name, columns }: Found) => {
    const names = keysOf(columns).map((column) => quoted(column));
    out.write(`BEGIN TRANSACTION;\nCREATE TABLE ${quoted(name)} (${names.join(", ")});\n`);
    return (values: Held[]) => out.write(`INSERT INTO ${quoted(name)} VALUES (${values.map(literal).join(",")});\n`);
  },
};

function whole({ file, bytes }: Wanted, path: string): object {
  writeVersion(file);
  if (statSync(file).size > bytes) throw new Refusal("too_large", `The database is larger than ${bytes >> 20} MiB.`);
  copyDatabase(file, path);
  return { rows: 0, bytes: statSync(path).size };
}

function tabled(database: DatabaseSync, name: string): Found {
  const table = tableOf(database, name);
  const columns = table.columns.map((column) => column.name);
  const keys = columns.length + table.key.length > 2_000 ? [] : table.key.map(({ sql }) => sql);
  const order = table.key.length ? ` ORDER BY ${table.key.map(({ sql }) => sql).join(", ")}` : "";
  const statement = reading(database, `SELECT ${[...columns.map(quoted), ...keys].join(", ")} FROM ${quoted(table.name)}${order}`);
  const rows = function* (): Generator<Held[]> {
    for (const values of statement.iterate()) {
      const key = values.slice(columns.length);
      yield values.slice(0, columns.length).map((value: Held, index: number) => repaired(database, table, key, table.columns[index], value));
    }
  };
  return { name: table.name, columns, rows: { [Symbol.iterator]: rows } };
}

function queried(database: DatabaseSync, sql: string): Found {
  const statement = reading(database, sql);
  const columns = statement.columns().map(({ name }: { name: string }) => name);
  if (!columns.length) throw new Refusal("sql_error", "This finds nothing that could be exported.");
  return { name: "query", columns, rows: { [Symbol.iterator]: () => statement.iterate() } };
}

function dumped(database: DatabaseSync, only: string | undefined, out: Out): number {
  let rows = 0;
  out.write("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
  for (const step of stepsOf(database, only)) {
    if ("sql" in step) out.write(step.sql + (step.sql.includes("--") ? "\n;\n" : ";\n"));
    else
      for (const values of step.rows) {
        out.write(`INSERT INTO ${step.into} (${step.columns.join(",")}) VALUES (${values.map(literal).join(",")});\n`);
        rows++;
      }
  }
  out.write("COMMIT;\n");
  return rows;
}

export function literal(value: Held): string {
  if (value === null) return "NULL";
  if (typeof value === "bigint") return value === -(2n ** 63n) ? "(-9223372036854775807-1)" : String(value);
  if (typeof value === "number") return Number.isFinite(value) ? realText(value) : value > 0 ? "9e999" : "-9e999";
  if (value instanceof Uint8Array) return `X'${hex(value)}'`;
  if (value instanceof BadText) return `CAST(X'${hex(value.bytes)}' AS TEXT)`;
  return value.includes("\0") ? `CAST(X'${hex(Buffer.from(value))}' AS TEXT)` : `'${value.replaceAll("'", "''")}'`;
}

function object(names: string[], values: Held[]): string {
  return `{${values.map((value, index) => `${JSON.stringify(names[index])}:${json(value)}`).join(",")}}`;
}

function json(value: Held): string {
  if (value === null) return "null";
  if (typeof value === "bigint") return String(value); // a number in JSON has any number of digits
  if (typeof value === "number") return Number.isFinite(value) ? realText(value) : JSON.stringify(realText(value));
  if (value instanceof Uint8Array) return JSON.stringify({ base64: Buffer.from(value).toString("base64") });
  return JSON.stringify(value instanceof BadText ? { text: Buffer.from(value.bytes).toString("base64") } : value);
}

// Names of columns as those of an object's fields: the second “a” is “a_2”.
function keysOf(columns: string[]): string[] {
  const taken = new Set<string>();
  return columns.map((column) => {
    let name = column;
    for (let number = 2; taken.has(name); number++) name = `${column}_${number}`;
    taken.add(name);
    return name;
  });
}

// A file that is written in large pieces, up to its limit.
class Out {
  private readonly fd: number;
  private pieces: string[] = [];
  private waiting = 0;
  private written = 0;

  constructor(path: string, private readonly limit: number) {
    this.fd = openSync(path, "w");
  }

  write(text: string): void {
    this.pieces.push(text);
    this.waiting += text.length;
    if (this.waiting >= CHUNK_BYTES) this.flush();
  }

  end(): number {
    this.flush();
    closeSync(this.fd);
    return this.written;
  }

  private flush(): void {
    const bytes = Buffer.from(this.pieces.join(""));
    if (this.written + bytes.length > this.limit) throw new Refusal("too_large", `It is larger than ${this.limit >> 20} MiB.`);
    for (let sent = 0; sent < bytes.length; ) sent += writeSync(this.fd, bytes, sent);
    this.written += bytes.length;
    [this.pieces, this.waiting] = [[], 0];
  }
}
