// Run in an app's sandbox, as the app, in its folder: finds its databases, or reads one of them. What it opens is
// whatever the app wrote there, so it is opened here and nowhere else.
//
//   bun --no-install query.ts list
//   bun --no-install query.ts read COPY     with STEADY_QUERY={"file", "sql", "params", "rows", "bytes"}
//
// A database in WAL mode is read in place: readers hinder nobody there. In rollback mode a reader's lock would fail the
// writes of an app that has set no busy_timeout, which is Bun's default; so there a copy is made in COPY, and read.
// Prints one JSON object: {"databases": [{path, size_bytes, modified_ms}], "more"}, or {"columns", "rows", "truncated", "ms"},
// or {"error": {"code", "message"}}.

import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, constants as sqlite } from "node:sqlite";
import { copyDatabase, isDatabase } from "./database.ts";

const FILES_MAX = 100_000; // looked at
const DATABASES_MAX = 1_000;
const PATH_BYTES_MAX = 4_000; // the kernel takes 4,096 (path_resolution(7))
const VALUE_BYTES_MAX = 32 << 20;
const HEAP_BYTES_MAX = 96 << 20; // SQLite's own, of the memory that this process may have
const BUSY_MS = 2_000;
const WRITE_VERSION_AT = 18; // 1 rollback journal, 2 write-ahead log

// Values: https://sqlite.org/rescode.html
const [BUSY, NO_MEMORY, READ_ONLY, CORRUPT, CANNOT_OPEN, DENIED, NOT_A_DATABASE] = [5, 7, 8, 11, 14, 23, 26];

// A connection that only reads refuses what changes rows by itself. It is allowed here, since full-text and R*Tree tables
// prepare such statements whenever they are read. What the connection would let pass is not: ATTACH, and by it VACUUM INTO.
const { SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE } = sqlite;
const { SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE } = sqlite;
const ALLOWED = new Set([SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE]);
for (const action of [SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE]) ALLOWED.add(action);
const PRAGMAS = new Set(
  `application_id auto_vacuum collation_list compile_options data_version database_list encoding foreign_key_check foreign_key_list
   freelist_count function_list index_info index_list index_xinfo integrity_check journal_mode module_list page_count
   page_size pragma_list quick_check schema_version table_info table_list table_xinfo user_version`.split(/\s+/),
);
const SETTABLE = new Set("application_id auto_vacuum encoding journal_mode page_size schema_version user_version".split(" "));

type Value = null | number | string | { base64: string } | { integer: string };
type Query = { file: string; sql: string; params: Value[] | Record<string, Value>; rows: number; bytes: number };

class Refusal extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

const [task, copies] = process.argv.slice(2);
console.log(JSON.stringify(task === "list" ? list() : answer(JSON.parse(process.env.STEADY_QUERY!))));

function list(): object {
  const databases: object[] = [];
  let files = 0;
  for (const folders = [""]; folders.length; ) {
    const folder = folders.pop()!;
    for (const name of namesIn(folder)) {
      const path = join(folder, name);
      if (++files > FILES_MAX || databases.length >= DATABASES_MAX) return { databases, more: true };
      if (Buffer.byteLength(path) > PATH_BYTES_MAX || name === "node_modules") continue;
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isDirectory()) folders.push(path);
      else if (found?.isFile() && looksLike(path))
        databases.push({ path, size_bytes: found.size, modified_ms: Math.round(found.mtimeMs) });
    }
  }
  return { databases, more: false };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder || ".");
  } catch {
    return []; // it vanished, or cannot be read by the app either
  }
}

function looksLike(path: string): boolean {
  try {
    return isDatabase(path);
  } catch {
    return false;
  }
}

function answer(query: Query): object {
  try {
    return read(query);
  } catch (error: any) {
    const { code, message } = error instanceof Refusal ? error : refusal(error);
    return { error: { code, message } };
  }
}

function read({ file, sql, params, rows: rowsMax, bytes: bytesMax }: Query): object {
  const database = open(locate(file));
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const columns = statement.columns().map(({ name }) => name);
  const rows: Value[][] = [];
  let bytes = 0;
  let truncated = false;
  const began = performance.now();
  for (const values of bound(statement, params)) {
    const row = values.map(shown);
    bytes += Buffer.byteLength(JSON.stringify(row));
    truncated = rows.length >= rowsMax || bytes > bytesMax;
    if (truncated) break;
    rows.push(row);
  }
  return { columns, rows, truncated, ms: Math.round((performance.now() - began) * 1000) / 1000 };
}

function bound(statement: any, params: Query["params"]): Iterable<any[]> {
  if (Array.isArray(params)) return statement.iterate(...params.map(given));
  return statement.iterate(Object.fromEntries(Object.entries(params).map(([name, value]) => [name, given(value)])));
}

// The file that may be opened: the database itself, or a copy of it.
function locate(file: string): string {
  if (writeVersion(file) === 2) return file;
  const copy = join(copies, "copy");
  copyDatabase(file, copy);
  return copy;
}

// How a database is written, by its header; an empty file is one to which nothing was written yet.
function writeVersion(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    throw new Refusal("not_found", `There is no database “${path}”.`);
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Refusal("not_found", `“${path}” is no file.`);
    const head = Buffer.alloc(WRITE_VERSION_AT + 1);
    const read = readSync(fd, head, 0, head.length, 0);
    if (read > 0 && !(read === head.length && isDatabase(path)))
      throw new Refusal("database_damaged", `“${path}” does not begin as a SQLite database does.`);
    return head[WRITE_VERSION_AT];
  } finally {
    closeSync(fd);
  }
}

function open(path: string): DatabaseSync {
  const options = { readOnly: true, allowExtension: false, defensive: true, timeout: BUSY_MS };
  const database = new DatabaseSync(path, { ...options, limits: { length: VALUE_BYTES_MAX, attach: 0 } } as any);
  database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES_MAX}`);
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
  (database as any).setAuthorizer((action: number, name: string | null, value: string | null) =>
    ALLOWED.has(action) || (action === sqlite.SQLITE_PRAGMA && isReading(name, value))
      ? sqlite.SQLITE_OK
      : sqlite.SQLITE_DENY,
  );
  return database;
}

function isReading(pragma: string | null, value: string | null): boolean {
  const name = String(pragma).toLowerCase();
  return PRAGMAS.has(name) && !(value !== null && SETTABLE.has(name));
}

function given(value: Value): any {
  if (value === null || typeof value !== "object") return value;
  return "base64" in value ? Buffer.from(value.base64, "base64") : BigInt(value.integer);
}

// An integer that JSON's readers would round is a text, and so is an infinity.
function shown(value: any): Value {
  if (typeof value === "bigint")
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(value)
      : String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  return value;
}

function refusal(error: any): { code: string; message: string } {
  const code = Number(error.errcode ?? error.errno) & 0xff; // the rest says more exactly why
  const said = String(error.message);
  if (code === CORRUPT || code === NOT_A_DATABASE || said === "unsupported file format")
    return { code: "database_damaged", message: `The database cannot be read: ${said}.` };
  if (code === DENIED || code === READ_ONLY)
    return { code: "sql_error", message: "This only reads: SELECT, VALUES, WITH, EXPLAIN and the PRAGMAs that tell." };
  if (code === BUSY) return { code: "sql_error", message: "The app has locked this database. Try again." };
  if (code === NO_MEMORY) return { code: "sql_error", message: "It needs more memory than a query may have." };
  if (code === CANNOT_OPEN) return { code: "sql_error", message: "The database cannot be opened." };
  return { code: "sql_error", message: said };
}
