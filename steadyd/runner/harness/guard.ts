// Opens one database that an app wrote, which is whatever the app wants it to be: with SQLite's defensive mode, no trusted
// schema, no extension, no mapped memory, bounds on memory and on the size of a value, and an authoriser that passes what
// is listed here and nothing else. Only our own scripts call it, in the app's sandbox and as the app.

import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, constants as sqlite } from "node:sqlite";
import { copyDatabase, isDatabase } from "./database.ts";

export const VALUE_BYTES_MAX = 32 << 20;
const HEAP_BYTES_MAX = 96 << 20; // SQLite's own, of the memory that this process may have
const BUSY_MS = 2_000;
const WRITING_BUSY_MS = 3_000; // within a statement's 5 s; whoever holds the lock longer is told of
const WRITE_VERSION_AT = 18; // 1 rollback journal, 2 write-ahead log

// Values: https://sqlite.org/rescode.html
const [BUSY, NO_MEMORY, READ_ONLY, CORRUPT, FULL, CANNOT_OPEN, DENIED, NOT_A_DATABASE] = [5, 7, 8, 11, 13, 14, 23, 26];

// A connection that only reads refuses what changes rows by itself. It is allowed here, since full-text and R*Tree tables
// prepare such statements whenever they are read. What the connection would let pass is not: ATTACH, and by it VACUUM INTO.
const { SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE } = sqlite;
const { SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE } = sqlite;
const ROWS = [SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE];
const READING = new Set([SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE, ...ROWS]);
// Who writes makes and drops things too. TRANSACTION is not among it: a call is one transaction, whole or not at all. Nor
// is anything temporary, which would be gone at its end.
const WRITING = new Set([
  ...READING, sqlite.SQLITE_SAVEPOINT, sqlite.SQLITE_ALTER_TABLE, sqlite.SQLITE_REINDEX, sqlite.SQLITE_ANALYZE,
  sqlite.SQLITE_CREATE_TABLE, sqlite.SQLITE_CREATE_INDEX, sqlite.SQLITE_CREATE_VIEW, sqlite.SQLITE_CREATE_TRIGGER,
  sqlite.SQLITE_DROP_TABLE, sqlite.SQLITE_DROP_INDEX, sqlite.SQLITE_DROP_VIEW, sqlite.SQLITE_DROP_TRIGGER,
  sqlite.SQLITE_CREATE_VTABLE, sqlite.SQLITE_DROP_VTABLE,
]);
const PRAGMAS = new Set(
  `application_id auto_vacuum collation_list compile_options data_version database_list encoding foreign_key_check foreign_key_list
   freelist_count function_list index_info index_list index_xinfo integrity_check journal_mode module_list page_count
   page_size pragma_list quick_check schema_version table_info table_list table_xinfo user_version`.split(/\s+/),
);
const SETTABLE = new Set("application_id auto_vacuum encoding journal_mode page_size schema_version user_version".split(" "));
const SET = new Set(["application_id", "user_version"]); // by who writes
const MODULES = new Set("fts3 fts4 fts5 fts5vocab geopoly rtree rtree_i32".split(" "));

export const PLATFORM = ["_litestream_lock", "_litestream_seq"]; // tables that whoever replicates the database made in it

export class Refusal extends Error {
  constructor(readonly code: string, message: string, readonly details: Record<string, unknown> = {}) {
    super(message);
  }
}

// A connection that reads: the database itself in WAL mode, where readers hinder nobody. In rollback mode a reader's lock
// would fail the writes of an app that has set no busy_timeout; so there a copy is made in `copies`, and read.
// `past`, if it is given, is an earlier state of it: a file that nobody writes to, to be read beside it under that name.
export function openReading(file: string, copies: string, past = ""): DatabaseSync {
  let path = file;
  if (writeVersion(file) !== 2) copyDatabase(file, (path = join(copies, "copy")));
  return open(path, { readOnly: true, timeout: BUSY_MS }, READING, past);
}

// The same for a file that nobody writes to: no lock, no log, and nothing is made beside it.
export function openStill(path: string, past = ""): DatabaseSync {
  return open(still(path), { readOnly: true }, READING, past);
}

// A connection that writes, to the database itself: whoever else has it open sees SQLite's own locks, as between any two
// connections. It leaves the log to whoever replicates it, as the app's own do (sqlite.ts).
export function openWriting(file: string, foreignKeys = true, past = ""): DatabaseSync {
  writeVersion(file);
  const rules = { timeout: WRITING_BUSY_MS, enableForeignKeyConstraints: foreignKeys };
  const database = open(file, rules, WRITING, past);
  own(database, "PRAGMA wal_autocheckpoint = 10000");
  return database;
}

// `work` as one transaction, whole or not at all. `failed` may look at what stands there, before it is undone.
export function transaction<T>(database: DatabaseSync, work: () => T, failed = (error: any): void => {}): T {
  own(database, "BEGIN IMMEDIATE");
  try {
    const result = work();
    own(database, "COMMIT");
    return result;
  } catch (error) {
    try {
      failed(error);
    } finally {
      undo(database);
    }
    throw error;
  }
}

function undo(database: DatabaseSync): void {
  try {
    own(database, "ROLLBACK");
  } catch {} // SQLite did so itself
}

// How a database is written, by its header; an empty file is one to which nothing was written yet.
export function writeVersion(path: string): number {
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

export function refusal(error: any): { code: string; message: string; details?: Record<string, unknown> } {
  if (error instanceof Refusal) return { code: error.code, message: error.message, details: error.details };
  const code = Number(error.errcode ?? error.errno) & 0xff; // the rest says more exactly why
  const said = String(error.message);
  if (code === CORRUPT || code === NOT_A_DATABASE || said === "unsupported file format")
    return { code: "database_damaged", message: `The database cannot be read: ${said}.` };
  if (code === DENIED || code === READ_ONLY) return { code: "sql_error", message: error.denied ?? ONLY_READS };
  if (code === FULL) return { code: "disk_full", message: "There is no room to write this." };
  if (code === BUSY) return { code: "sql_error", message: "The app has locked this database. Try again." };
  if (code === NO_MEMORY) return { code: "sql_error", message: "It needs more memory than a query may have." };
  if (code === CANNOT_OPEN) return { code: "sql_error", message: "The database cannot be opened." };
  return { code: "sql_error", message: said };
}

// Print an answer, whole.
export function say(value: object): void {
  const bytes = Buffer.from(JSON.stringify(value) + "\n");
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(1, bytes, sent);
}

// The same, as the last thing that a process does which wrote. Bun truncates the log of each database that a process has open
// when it ends by itself, and Litestream would take that for its own doing, and miss what was committed since it looked
// last. One that is killed leaves the log to who opens it next.
export function leave(value: object): void {
  say(value);
  process.kill(process.pid, "SIGKILL");
}

const ONLY_READS = "This only reads: SELECT, VALUES, WITH, EXPLAIN and the PRAGMAs that tell.";
const NOT_WRITTEN =
  "Not possible here: ATTACH, VACUUM, temporary things, BEGIN and COMMIT (a call is one transaction), PRAGMAs that set more than user_version, and the platform's own tables.";

// The same error, with what is to be said where the authoriser of who writes refused.
export function writingError(error: any): any {
  if ((Number(error.errcode) & 0xff) === DENIED) error.denied = NOT_WRITTEN;
  return error;
}

let ours = false; // such a statement is prepared

// A statement of our own, which the authoriser passes whatever it does.
export function own(database: DatabaseSync, sql: string): void {
  ours = true;
  try {
    database.exec(sql);
  } finally {
    ours = false;
  }
}

// The address of a file that nobody writes to.
function still(path: string): string {
  writeVersion(path);
  return `file://${path.split("/").map(encodeURIComponent).join("/")}?immutable=1&mode=ro`;
}

function open(path: string, how: object, allowed: Set<number>, past: string): DatabaseSync {
  const options = { allowExtension: false, defensive: true, ...how };
  const limits = { length: VALUE_BYTES_MAX, attach: past ? 1 : 0 };
  const database = new DatabaseSync(path, { ...options, limits } as any);
  process.on("exit", () => database.close()); // else Bun empties the log, from which whoever replicates the file reads
  database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES_MAX}`);
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
  if (past) database.prepare("ATTACH ? AS past").run(still(past));
  const writes = allowed === WRITING;
  (database as any).setAuthorizer((action: number, name: string | null, value: string | null) =>
    ours || may(allowed, writes, action, name, value) ? sqlite.SQLITE_OK : sqlite.SQLITE_DENY,
  );
  return database;
}

function may(allowed: Set<number>, writes: boolean, action: number, name: string | null, value: string | null): boolean {
  if (action === sqlite.SQLITE_PRAGMA) return isReading(name, value) || (writes && SET.has(String(name).toLowerCase()));
  if (!allowed.has(action)) return false;
  if (!writes) return true;
  if (action === sqlite.SQLITE_CREATE_VTABLE) return MODULES.has(String(value).toLowerCase());
  if (action === sqlite.SQLITE_ALTER_TABLE) return !isPlatforms(value);
  return !((ROWS.includes(action) || action === sqlite.SQLITE_DROP_TABLE) && isPlatforms(name));
}

export function isPlatforms(table: string | null): boolean {
  return PLATFORM.includes(String(table).toLowerCase());
}

function isReading(pragma: string | null, value: string | null): boolean {
  const name = String(pragma).toLowerCase();
  return PRAGMAS.has(name) && !(value !== null && SETTABLE.has(name));
}
