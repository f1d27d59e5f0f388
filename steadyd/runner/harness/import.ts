// What is put into a database, from FOLDER/sent: rows of a CSV file, statements, or a whole database. One transaction, all or
// nothing; what fails is told by its line.

import { closeSync, copyFileSync, constants, existsSync, fsyncSync, linkSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { type Cell, type Record, Reader } from "./csv.ts";
import { SIDE_FILES, isDatabase } from "./database.ts";
import { clear, stepsOf } from "./dump.ts";
import { Refusal, openReading, openWriting, refusal, transaction, writingError } from "./guard.ts";
import { reading } from "./rows.ts";
import { Splitter } from "./splitter.ts";
import { type Column, all, quoted, tableOf } from "./table.ts";
import { type Held, bound, place } from "./value.ts";

const CHUNK_BYTES = 1 << 20;
const COLUMNS_MAX = 2_000; // SQLite's own
const INTEGER = /^-?(0|[1-9]\d{0,17})$/;
const REAL = /^-?(\d+\.\d+|\d+(\.\d+)?e[+-]?\d+)$/i;
const BLOB = /^x'([0-9a-f]{2})*'$/i;
const OURS = /^\s*(BEGIN|COMMIT|END)\b(\s+(DEFERRED|IMMEDIATE|EXCLUSIVE))?(\s+TRANSACTION)?\s*$|^\s*PRAGMA\s+foreign_keys\s*=/i;

type Wanted = { file: string; format: "csv" | "sql" | "sqlite"; table: string; create: boolean; header: boolean; delimiter: string; replace: boolean };

export function put(wanted: Wanted, folder: string): object {
  const sent = join(folder, "sent");
  if (wanted.format === "sqlite") return wanted.replace ? replaced(wanted.file, sent, folder) : placed(wanted.file, sent, folder);
  const database = openWriting(wanted.file, wanted.format === "csv");
  return transaction(database, () => (wanted.format === "csv" ? filled(database, wanted, sent) : run(database, sent)));
}

// Statements of a dump, which has its own BEGIN and COMMIT around all; foreign keys count as they do while one is read back.
function run(database: DatabaseSync, sent: string): object {
  const splitter = new Splitter();
  let statements = 0;
  const take = ({ sql, line }: { sql: string; line: number }) => {
    if (OURS.test(sql.replace(/--[^\n]*|\/\*[^]*?\*\//g, " "))) return;
    at(line, () => {
      for (const _ of reading(database, sql).iterate()); // to its end; what it finds nobody asked for
    });
    statements++;
  };
  for (const piece of pieces(sent)) for (const one of splitter.push(piece)) take(one);
  for (const one of splitter.push("", true)) take(one);
  return { statements };
}

function filled(database: DatabaseSync, wanted: Wanted, sent: string): object {
  const exists = all(database, "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", wanted.table).length;
  if (!exists) {
    if (!wanted.create) throw new Refusal("not_found", `There is no table “${wanted.table.slice(0, 200)}”, and none was to be made.`);
    if (!wanted.table || wanted.table.includes("\0")) throw new Refusal("invalid", "A table needs a name.", { field: "table" });
    const columns = guessed(records(sent, wanted), wanted.header).map(({ name, type }) => `${quoted(name)} ${type}`);
    database.exec(`CREATE TABLE ${quoted(wanted.table)} (${columns.join(", ")})`);
  }
  const table = tableOf(database, wanted.table);
  const source = records(sent, wanted);
  const names = wanted.header ? headed(source.next().value) : undefined;
  let columns: Column[] = [];
  let statement: any;
  let rows = 0;
  for (const { cells, line } of source) {
    if (!statement) {
      columns = chosen(table.columns, names ?? cells.length, line);
      statement = database.prepare(
        `INSERT INTO ${quoted(table.name)} (${columns.map(({ name }) => quoted(name)).join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`);
    }
    if (cells.length !== columns.length) throw failed(line, new Refusal("invalid", `there are ${cells.length} values and not ${columns.length}`));
    at(line, () => statement.run(...cells.map((cell, index) => valueOf(cell, columns[index]))));
    rows++;
  }
  return { table: table.name, created: !exists, columns: table.columns.map(({ name, type }) => ({ name, type })), rows };
}

// A column's own type makes a number of digits; only a BLOB has to be made here.
function valueOf(cell: Cell, column: Column): Held {
  if (cell === null || !(column.type === "" || /BLOB/i.test(column.type)) || !BLOB.test(cell)) return cell;
  return Buffer.from(cell.slice(2, -1), "hex");
}

function chosen(columns: Column[], wanted: string[] | number, line: number): Column[] {
  const own = columns.filter(({ generated }) => !generated);
  if (typeof wanted === "number") return own.slice(0, wanted).length === wanted ? own.slice(0, wanted) : own;
  return wanted.map((name) => {
    const found = own.find((column) => column.name.toLowerCase() === name.toLowerCase());
    if (!found) throw failed(line - 1, new Refusal("invalid", `the table has no column “${name.slice(0, 200)}”`));
    return found;
  });
}

function headed(first: Record | undefined): string[] {
  if (!first) throw new Refusal("invalid", "The file is empty: it has not even a line of names.");
  return first.cells.map((cell, index) => cell ?? `column${index + 1}`);
}

// Names and types of the columns that fit every record.
function guessed(source: Generator<Record>, header: boolean): { name: string; type: string }[] {
  let names = header ? headed(source.next().value) : undefined;
  let tests: (RegExp[] | undefined)[] = [];
  for (const { cells } of source) {
    names ??= cells.map((_, index) => `column${index + 1}`);
    cells.forEach((cell, index) => {
      if (cell !== null) tests[index] = (tests[index] ?? [INTEGER, REAL, BLOB]).filter((test) => test.test(cell) || (test === REAL && INTEGER.test(cell)));
    });
  }
  if (!names?.length || names.length > COLUMNS_MAX) throw new Refusal("invalid", `A table has 1 to ${COLUMNS_MAX} columns.`);
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) throw new Refusal("invalid", "Two columns have one name.");
  return names.map((name, index) => ({ name, type: typeOf(tests[index]) }));
}

function typeOf(left: RegExp[] | undefined): string {
  if (!left || !left.length) return "TEXT";
  return left.includes(INTEGER) ? "INTEGER" : left.includes(REAL) ? "REAL" : "BLOB";
}

function* records(sent: string, { delimiter }: Wanted): Generator<Record> {
  const reader = new Reader(delimiter);
  try {
    for (const piece of pieces(sent)) yield* reader.push(piece);
    yield* reader.push("", true);
  } catch (error) {
    throw error instanceof RangeError ? new Refusal("invalid", `The file is not CSV: ${error.message}.`) : error;
  }
}

// A whole database, which takes the place of everything that the app has in its own: through SQLite and not by another file,
// since the app, and what replicates it, hold this one.
function replaced(file: string, sent: string, folder: string): object {
  const source = checked(sent, folder);
  const database = openWriting(file, false);
  return transaction(database, () => {
    clear(database);
    let rows = 0;
    for (const step of stepsOf(source)) {
      if ("sql" in step) database.exec(step.sql);
      else
        for (const values of step.rows) {
          const sql = `INSERT INTO ${step.into} (${step.columns.join(", ")}) VALUES (${values.map(place).join(", ")})`;
          if (statement.sql !== sql) Object.assign(statement, { sql, run: database.prepare(sql) });
          statement.run.run(...values.map(bound));
          rows++;
        }
    }
    return { rows };
  });
}

const statement: { sql: string; run: any } = { sql: "", run: undefined }; // prepared last

// A whole database as a new file.
function placed(file: string, sent: string, folder: string): object {
  checked(sent, folder).close();
  if (existsSync(file)) throw new Refusal("conflict", `There is a “${file}” already. To replace what it holds, say so.`);
  mkdirSync(dirname(file), { recursive: true });
  const part = join(dirname(file), `.import-${process.hrtime.bigint()}`);
  try {
    copyFileSync(sent, part, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const fd = openSync(part, "r");
    fsyncSync(fd);
    closeSync(fd);
    for (const side of SIDE_FILES) rmSync(file + side, { force: true }); // of a database that is gone
    linkSync(part, file);
  } catch (error: any) {
    throw error.code === "EEXIST" ? new Refusal("conflict", `There is a “${file}” already.`) : error;
  } finally {
    rmSync(part, { force: true });
  }
  return { rows: 0 };
}

function checked(sent: string, folder: string): DatabaseSync {
  if (!isDatabase(sent)) throw new Refusal("database_damaged", "What was sent does not begin as a SQLite database does.");
  let said: string;
  let database: DatabaseSync;
  try {
    database = openReading(sent, folder);
    said = String(Object.values(all(database, "PRAGMA quick_check(1)")[0])[0]);
  } catch (error) {
    throw new Refusal("database_damaged", `What was sent is no whole database: ${refusal(error).message}`);
  }
  if (said !== "ok") throw new Refusal("database_damaged", `What was sent is no whole database: ${said.slice(0, 500)}`);
  return database;
}

function* pieces(path: string): Generator<string> {
  const fd = openSync(path, "r");
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let read; (read = readSync(fd, chunk)); ) yield decoder.decode(chunk.subarray(0, read), { stream: true });
    yield decoder.decode();
  } catch (error) {
    throw error instanceof TypeError ? new Refusal("invalid", "The file is not UTF-8.") : error;
  } finally {
    closeSync(fd);
  }
}

function at(line: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw failed(line, error);
  }
}

function failed(line: number, error: any): Refusal {
  const { code, message } = refusal(writingError(error));
  return new Refusal(code, `Line ${line}: ${message}. Nothing was imported.`.replace("..", "."), { line });
}
