// Run in an app's sandbox, as the app, in its folder: finds its databases, tells what one holds, reads it, and writes to it.
// What it opens is whatever the app wrote there, so it is opened here and nowhere else.
//
//   bun --no-install query.ts FOLDER     FOLDER/request.json says what: {"task", …}
//
// FOLDER is for copies, for what was sent (FOLDER/sent) and for what is to be sent (FOLDER/made). Prints one JSON object, or
// {"error": {"code", "message", "details"}}.

import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { isDatabase } from "./database.ts";
import { edit } from "./edits.ts";
import { take } from "./export.ts";
import { Refusal, leave, openReading, openWriting, refusal, say, transaction, writeVersion, writingError } from "./guard.ts";
import { put } from "./import.ts";
import { logOf } from "./readers.ts";
import { page, reading } from "./rows.ts";
import { statementsOf } from "./splitter.ts";
import { all, describe } from "./table.ts";
import { type Value, bound, given, shown } from "./value.ts";

const FILES_MAX = 100_000; // looked at
const DATABASES_MAX = 1_000;
const PATH_BYTES_MAX = 4_000; // the kernel takes 4,096 (path_resolution(7))
const LIST_BYTES_MAX = 400 << 10; // of an answer, which is said twice
const LOOKED_INTO_MAX = 50; // databases of a list that are opened to count their tables
const LOOK_MS_MAX = 1_500;
const LOOK_COPY_BYTES_MAX = 4 << 20; // what is no larger is copied to be looked into, where that takes a copy
const STATEMENTS_MAX = 1_000;
const PROBLEMS_MAX = 100;

type Params = Value[] | Record<string, Value>;
type Query = { file: string; sql: string; params: Params; rows: number; bytes: number };
type Result = { columns: string[]; rows: Value[][]; truncated: boolean };

const [copies] = process.argv.slice(2);
const TASKS: Record<string, (request: any) => object | Promise<object>> = {
  list,
  read,
  write,
  describe: ({ file }) => describe(openReading(file, copies)),
  rows: ({ file, ...wanted }) => page(openReading(file, copies), wanted),
  edit: ({ file, ...wanted }) => edit(openWriting(file), wanted),
  check,
  export: (wanted) => take(wanted, copies),
  import: (wanted) => put(wanted, copies),
};

const WRITING = ["write", "edit", "import"];

if (import.meta.main) {
  const request = JSON.parse(readFileSync(join(copies, "request.json"), "utf8"));
  const answered = await answer(request);
  if (WRITING.includes(request.task)) leave(answered);
  else say(answered);
}

async function answer({ task, ...request }: any): Promise<object> {
  const began = performance.now();
  try {
    const made = await TASKS[task](request);
    return { ms: Math.round((performance.now() - began) * 1000) / 1000, ...made };
  } catch (error: any) {
    return { error: refusal(WRITING.includes(task) ? writingError(error) : error) };
  }
}

function list(): object {
  const databases: any[] = [];
  let [files, bytes] = [0, 0];
  let more = false;
  walk: for (const folders = [""]; folders.length; ) {
    const folder = folders.pop()!;
    for (const name of namesIn(folder)) {
      const path = join(folder, name);
      if (++files > FILES_MAX || databases.length >= DATABASES_MAX || bytes > LIST_BYTES_MAX) {
        more = true;
        break walk;
      }
      if (Buffer.byteLength(path) > PATH_BYTES_MAX || name === "node_modules") continue;
      const found = lstatSync(path, { throwIfNoEntry: false });
      if (found?.isDirectory()) folders.push(path);
      else if (found?.isFile() && looksLike(path)) {
        const each = { path, size_bytes: found.size, modified_ms: Math.round(found.mtimeMs), log: logOf(path) };
        bytes += Buffer.byteLength(JSON.stringify(each));
        databases.push(each);
      }
    }
  }
  // Said first as far as no database had to be opened for it: one that ends this process is still listed.
  say({ databases, more, ms: 0 });
  const end = performance.now() + LOOK_MS_MAX;
  for (const each of databases.slice(0, LOOKED_INTO_MAX)) if (performance.now() < end) Object.assign(each, lookInto(each));
  return { databases, more };
}

function lookInto({ path, size_bytes }: { path: string; size_bytes: number }): object {
  try {
    const wal = writeVersion(path) === 2;
    if (!wal && size_bytes > LOOK_COPY_BYTES_MAX) return { wal };
    const database = openReading(path, copies);
    const [{ tables }] = all(database, "SELECT count(*) AS tables FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'");
    database.close();
    return { wal, tables };
  } catch (error) {
    return { problem: refusal(error).message };
  }
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

function read({ file, sql, params, rows, bytes }: Query): object {
  const database = openReading(file, copies);
  const began = performance.now();
  const result = collect(database, sql, params, rows, bytes, true);
  return { ...result, ms: Math.round((performance.now() - began) * 1000) / 1000 };
}

// Statements that write, as one transaction. What the last one finds is the result.
function write({ file, sql, params, rows, bytes }: Query): object {
  const found = statementsOf(sql);
  const database = openWriting(file);
  if (found.length > STATEMENTS_MAX) throw new Refusal("too_large", `There are more than ${STATEMENTS_MAX} statements: import them as a file.`);
  if (found.length !== 1 && (Array.isArray(params) ? params.length : Object.keys(params).length))
    throw new Refusal("invalid", "Parameters go with one statement, and here are several.", { field: "params" });
  return transaction(database, () => {
    const before = changes(database);
    let result: Result = { columns: [], rows: [], truncated: false };
    for (const [index, { sql, line }] of found.entries()) {
      try {
        result = collect(database, sql, params, rows, bytes, false);
      } catch (error: any) {
        throw Object.assign(writingError(error), found.length > 1 && { message: `Statement ${index + 1}, line ${line}: ${error.message}` });
      }
    }
    return { ...result, changes: changes(database) - before, statements: found.length };
  });
}

// What a statement finds, as far as it may be told; one that writes is run to its end all the same.
function collect(database: DatabaseSync, sql: string, params: Params, rowsMax: number, bytesMax: number, stops: boolean): Result {
  const statement = reading(database, sql);
  const columns = statement.columns().map(({ name }: { name: string }) => name);
  const rows: Value[][] = [];
  let bytes = 0;
  let truncated = false;
  for (const values of iterate(statement, params)) {
    if (truncated) continue;
    const row = values.map(shown);
    bytes += Buffer.byteLength(JSON.stringify(row));
    truncated = rows.length >= rowsMax || bytes > bytesMax;
    if (truncated && stops) break;
    if (!truncated) rows.push(row);
  }
  return { columns, rows, truncated };
}

function iterate(statement: any, params: Params): Iterable<any[]> {
  if (Array.isArray(params)) return statement.iterate(...params.map((value) => bound(given(value))));
  return statement.iterate(Object.fromEntries(Object.entries(params).map(([name, value]) => [name, bound(given(value))])));
}

function changes(database: DatabaseSync): number {
  return Number((reading(database, "SELECT total_changes()").get() as any)[0]);
}

function check({ file, full }: { file: string; full: boolean }): object {
  const database = openReading(file, copies);
  const rows = all(database, `PRAGMA ${full ? "integrity_check" : "quick_check"}(${PROBLEMS_MAX})`);
  const problems = rows.map((row) => String(Object.values(row)[0]).slice(0, 1_000)).filter((said) => said !== "ok");
  const orphans = full ? all(database, `SELECT "table", rowid, parent FROM pragma_foreign_key_check LIMIT ${PROBLEMS_MAX}`) : [];
  return { ok: !problems.length, problems, orphans: orphans.map(({ table, rowid, parent }) => ({ table, rowid, parent })) };
}
