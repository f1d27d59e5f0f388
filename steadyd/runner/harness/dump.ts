// All that makes a database, or one table of it, in the order in which it can be made again: statements, and rows for them.

import type { DatabaseSync } from "node:sqlite";
import { Refusal, isPlatforms } from "./guard.ts";
import { reading, repaired } from "./rows.ts";
import { type Table, all, quoted, tableOf } from "./table.ts";
import type { Held } from "./value.ts";

// One statement, or one that is run for each of `rows`, with a place for each value.
export type Step = { sql: string } | { into: string; columns: string[]; rows: Iterable<Held[]> };
type Made = { type: string; name: string; tbl_name: string; sql: string | null };

const MODULE = /^\s*CREATE\s+VIRTUAL\s+TABLE[^]*?\bUSING\s+["'`[]?(\w+)/i;
const CONTENT = /\bcontent\s*=\s*('[^']*'|"[^"]*"|[^\s,)]+)/i;
const FULL_TEXT = new Set(["fts3", "fts4", "fts5"]);

// `rowids`: the row numbers of tables that have no key of their own for them are kept too.
export function* stepsOf(database: DatabaseSync, only?: string): Generator<Step> {
  const wanted = only === undefined ? undefined : tableOf(database, only).name;
  const made: Made[] = all(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema").filter(({ sql, name, tbl_name }) =>
    sql !== null && !isPlatforms(tbl_name) && !/^sqlite_/i.test(name) && (wanted === undefined || tbl_name === wanted));
  const kinds = new Map(all(database, "SELECT name, type FROM pragma_table_list WHERE schema = 'main'").map(({ name, type }) => [name, type]));
  const rebuilt: string[] = [];
  for (const { name, sql } of made.filter(({ type, name }) => type === "table" && kinds.get(name) !== "shadow")) {
    yield { sql: sql! };
    const how = kinds.get(name) === "virtual" ? virtual(sql!) : "rows";
    if (how === "rows") yield rowsOf(database, tableOf(database, name));
    else if (how === "rebuild") rebuilt.push(name);
  }
  if (wanted === undefined) yield* countersOf(database);
  for (const name of rebuilt) yield { sql: `INSERT INTO ${quoted(name)} (${quoted(name)}) VALUES ('rebuild')` };
  for (const type of ["index", "view", "trigger"]) for (const each of made) if (each.type === type) yield { sql: each.sql! };
  if (wanted === undefined)
    for (const pragma of ["user_version", "application_id"]) {
      const value = Object.values(all(database, `PRAGMA ${pragma}`)[0])[0];
      if (value) yield { sql: `PRAGMA ${pragma} = ${value}` };
    }
}

// What becomes of a virtual table's rows: a full-text index over another table is made from that, one that keeps no text
// cannot be told.
function virtual(sql: string): "rows" | "rebuild" | "none" {
  const module = (MODULE.exec(sql)?.[1] ?? "").toLowerCase();
  if (module === "fts5vocab" || module === "fts4aux" || module === "dbstat") return "none";
  const content = FULL_TEXT.has(module) ? CONTENT.exec(sql)?.[1] : undefined;
  if (content === undefined) return "rows";
  return content === "''" || content === '""' ? "none" : "rebuild";
}

function rowsOf(database: DatabaseSync, table: Table): Step {
  const columns = table.columns.filter(({ generated }) => !generated);
  const names = columns.map(({ name }) => quoted(name));
  const full = table.kind !== "virtual" || FULL_TEXT.has((MODULE.exec(sqlOf(database, table.name))?.[1] ?? "").toLowerCase());
  const keeps = table.rowid && !table.alias && full && columns.length < 2_000; // which is all the columns that SQLite has
  if (keeps) names.unshift(table.key[0].sql);
  const keys = table.key.map(({ sql }) => sql);
  const order = keys.length ? ` ORDER BY ${keys.join(", ")}` : "";
  const statement = reading(database, `SELECT ${[...names, ...(keeps || names.length + keys.length > 2_000 ? [] : keys)].join(", ")} FROM ${quoted(table.name)}${order}`);
  const rows = function* (): Generator<Held[]> {
    for (const values of statement.iterate()) {
      const key = keeps ? values.slice(0, 1) : values.slice(names.length);
      const own = values.slice(keeps ? 1 : 0, names.length).map((value: Held, index: number) => repaired(database, table, key, columns[index], value));
      yield keeps ? [values[0], ...own] : own;
    }
  };
  return { into: quoted(table.name), columns: names, rows: { [Symbol.iterator]: rows } };
}

function sqlOf(database: DatabaseSync, table: string): string {
  return String(all(database, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", table)[0]?.sql ?? "");
}

// The counters of AUTOINCREMENT.
function* countersOf(database: DatabaseSync): Generator<Step> {
  if (!all(database, "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").length) return;
  const statement = reading(database, "SELECT name, seq FROM sqlite_sequence");
  const counters = [...statement.iterate()].filter(([name]: any[]) => !isPlatforms(name));
  if (!counters.length) return;
  yield { sql: "DELETE FROM sqlite_sequence" };
  yield { into: "sqlite_sequence", columns: ["name", "seq"], rows: counters };
}

// Everything that the app has in it is dropped, so that other things can take its place.
export function clear(database: DatabaseSync): void {
  const drop = (type: string) => {
    for (const { name, tbl_name } of all(database, "SELECT name, tbl_name FROM sqlite_schema WHERE type = ? AND substr(name, 1, 7) <> 'sqlite_'", type))
      if (!isPlatforms(tbl_name)) database.exec(`DROP ${type} IF EXISTS ${quoted(name)}`);
  };
  drop("trigger");
  drop("view");
  for (let left = Infinity; ; ) { // a virtual table takes its own tables with it, which cannot be dropped themselves
    const tables = all(database, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY type DESC")
      .filter(({ name }) => !isPlatforms(name));
    if (!tables.length) return;
    if (tables.length >= left) throw new Refusal("sql_error", `“${tables[0].name}” cannot be dropped.`);
    left = tables.length;
    for (const { name } of tables) database.exec(`DROP TABLE IF EXISTS ${quoted(name)}`);
  }
}
