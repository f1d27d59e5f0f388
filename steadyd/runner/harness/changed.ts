// Run in an app's sandbox, as the app, in its folder: what differs between two states of one of its databases, table by
// table and row by row.
//
//   bun --no-install changed.ts COPY BEFORE [AFTER]     with STEADY_CHANGED={"file", "table", "page", "rows", "bytes"}
//
// BEFORE and AFTER are files that nobody writes to; without AFTER it is the live file, read as query.ts reads it. All of
// them are whatever the app wrote, so they are opened here and nowhere else, and SQLite itself compares them. Prints one
// JSON object: counts of every table and what differs of the schema, or, of one table, a page of rows.

import type { DatabaseSync } from "node:sqlite";
import { COLUMNS_MAX, queries, type Changed } from "./differences.ts";
import { openReading, openStill, refusal, Refusal } from "./guard.ts";
import { all, isOurs, listed, lower, paired, type Pair } from "./pairs.ts";
import { given, type Value } from "./value.ts";

const OBJECTS_MAX = 1_000; // tables, indexes, views and triggers that are told of
const SQL_CHARACTERS_MAX = 2_000; // of one definition
const TABLES_MS = 8_000; // after that no further table is begun

type Page = { phase: number; key: Value[] | null; skip: number };
type Comparison = { file: string; table: string; page: Page; rows: number; bytes: number };

const [copies, before, after] = process.argv.slice(2);
console.log(JSON.stringify(answer(JSON.parse(process.env.STEADY_CHANGED!))));

function answer(asked: Comparison): object {
  try {
    return between(asked);
  } catch (error: any) {
    return { error: refusal(error) };
  }
}

function between({ file, table, page, rows, bytes }: Comparison): object {
  const database = after ? openStill(after, before) : openReading(`./${file}`, copies, before);
  if (!table) return { ...schema(database), ...tables(database) };
  const pair = paired(database, table);
  if (!pair) throw new Refusal("not_found", `There is no table “${table}” at either moment.`);
  if ((pair.after ?? pair.before)!.kind === "view") throw new Refusal("not_found", `“${table}” is a view. What it shows lies in tables.`);
  return { ...counted(database, pair), ...details(database, pair, page, rows, bytes) };
}

function schema(database: DatabaseSync): object {
  const [old, now] = ["past", "main"].map((side) => definitions(database, side));
  const changes: object[] = [];
  for (const [id, [kind, name, table, sql]] of old) {
    const other = now.get(id);
    if (!other) changes.push({ change: "removed", kind, name, table, before: cut(sql), after: null });
    else if (other[3] !== sql) changes.push({ change: "altered", kind, name, table, before: cut(sql), after: cut(other[3]) });
  }
  for (const [id, [kind, name, table, sql]] of now)
    if (!old.has(id)) changes.push({ change: "added", kind, name, table, before: null, after: cut(sql) });
  return { schema: changes.slice(0, OBJECTS_MAX), schema_more: changes.length > OBJECTS_MAX };
}

function definitions(database: DatabaseSync, side: string): Map<string, string[]> {
  const found = all(database, `SELECT type, name, tbl_name, sql FROM ${side}.sqlite_schema WHERE sql NOT NULL ORDER BY name`);
  const kept = found.map((row) => row.map(String)).filter((row) => !isOurs(row[1]) && !isOurs(row[2]));
  return new Map(kept.map((row) => [`${row[0]} ${lower(row[1])}`, row]));
}

function tables(database: DatabaseSync): object {
  const found: object[] = [];
  const names = everyTable(database);
  const began = performance.now();
  for (const name of names.slice(0, OBJECTS_MAX)) {
    if (performance.now() - began > TABLES_MS) found.push(untold(name, "There was no time left for it: ask for it alone."));
    else found.push(tolerant(database, name));
  }
  return { tables: found, more: names.length > OBJECTS_MAX };
}

function everyTable(database: DatabaseSync): string[] {
  const names = new Map<string, string>();
  for (const side of ["past", "main"])
    for (const { name, kind } of listed(database, side).values())
      if (kind === "table" || kind === "virtual") names.set(lower(name), name);
  return [...names.values()].sort();
}

// One table that cannot be compared hides none of the others.
function tolerant(database: DatabaseSync, name: string): object {
  try {
    return counted(database, paired(database, name)!);
  } catch (error: any) {
    const { code, message } = refusal(error);
    if (code === "database_damaged") throw error;
    return untold(name, message);
  }
}

function untold(table: string, problem: string): object {
  return { table, known_by: "content", key: [], inserted: 0, deleted: 0, updated: 0, problem };
}

function counted(database: DatabaseSync, pair: Pair): object {
  const { before, after, way, key } = pair;
  const [deleted, updated, inserted] = queries(pair).map((query) => (query ? Number(all(database, query.count)[0][0] ?? 0) : 0));
  return { table: (after ?? before)!.name, known_by: way, key: key.map((part) => part.name), inserted, deleted, updated, problem: "" };
}

// The changed rows of one table: those deleted first, then those updated, then those inserted; from `page` on.
function details(database: DatabaseSync, pair: Pair, page: Page, most: number, bytesMax: number): object {
  const changes: Changed[] = [];
  let bytes = 0;
  let { phase, key, skip } = page;
  const [old, now] = [pair.old, pair.now].map((names) => (pair.way === "content" ? names : names.slice(0, COLUMNS_MAX)));
  const end = () => ({ old_columns: old, columns: now, rows: changes });
  for (; phase < 3; phase++, key = null, skip = 0) {
    const query = queries(pair)[phase];
    if (!query) continue;
    const statement = database.prepare(query.rows(key !== null));
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    for (const values of statement.iterate(...(key ?? []).map(given), most + 1, skip) as Iterable<any>) {
      const change = query.read(values);
      bytes += Buffer.byteLength(JSON.stringify(change));
      if (changes.length >= most || (changes.length && bytes > bytesMax)) return { ...end(), next: { phase, key, skip } };
      changes.push(change);
      if (change.key) [key, skip] = [change.key, 0];
      else skip += 1;
    }
  }
  return { ...end(), next: null };
}

function cut(sql: string): string {
  return sql.length > SQL_CHARACTERS_MAX ? `${sql.slice(0, SQL_CHARACTERS_MAX)}…` : sql;
}
