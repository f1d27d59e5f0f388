// What a database holds, as it says so itself: its tables, views, indexes and triggers, and how one table's rows are told
// from one another.

import type { DatabaseSync } from "node:sqlite";
import { Refusal, isPlatforms } from "./guard.ts";

const TABLES_MAX = 2_000;
const SQL_BYTES_MAX = 16 << 10; // of one object, as it is shown
const ANSWER_BYTES_MAX = 1 << 20;
const COUNTED_MAX = 100_000; // rows of one table
const COUNT_MS_MAX = 1_000; // of all tables; what is left is not counted

const ROWID_NAMES = ["rowid", "_rowid_", "oid"];

export type Kind = "table" | "view" | "virtual" | "shadow";
export type Column = {
  name: string;
  type: string;
  not_null: boolean;
  default: string | null;
  primary_key: number; // its place in the key, from 1; 0 for none
  generated: boolean;
};
type Part = { name: string; sql: string };
// `key` is what tells a row: the name under which SQLite's row number is had, or the primary key's columns. None of views.
// `alias` is the column that is the row number, if one is.
export type Table = { name: string; kind: Kind; columns: Column[]; key: Part[]; rowid: boolean; alias: string };

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function all(database: DatabaseSync, sql: string, ...values: any[]): any[] {
  const statement = database.prepare(sql);
  return statement.all(...values);
}

export function tableOf(database: DatabaseSync, name: string): Table {
  const found = all(database, "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", name);
  if (name.includes("\0") || !found.length) throw new Refusal("not_found", `There is no table “${name.slice(0, 200)}”.`);
  const [{ name: own, type, wr }] = found;
  const columns = columnsOf(database, own);
  const taken = new Set(columns.map((column) => column.name.toLowerCase()));
  const free = ROWID_NAMES.find((alias) => !taken.has(alias));
  const table = { name: own, kind: type, columns, key: [], rowid: false, alias: "" } as Table;
  if (wr && type !== "virtual") return { ...table, key: keyOf(database, own) };
  if (type === "view") return table;
  if (free === undefined || !hasRowid(database, own, free)) return table;
  const alias = type === "table" ? rowidColumn(database, own, columns) : "";
  return { ...table, key: [{ name: free, sql: free }], rowid: true, alias };
}

// The column that is the row number under another name: an INTEGER PRIMARY KEY. Its key has no index of its own.
function rowidColumn(database: DatabaseSync, table: string, columns: Column[]): string {
  const keys = columns.filter((column) => column.primary_key);
  if (keys.length !== 1 || keys[0].type.toUpperCase() !== "INTEGER") return "";
  return all(database, "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", table).length ? "" : keys[0].name;
}

function hasRowid(database: DatabaseSync, table: string, alias: string): boolean {
  try {
    database.prepare(`SELECT ${alias} FROM ${quoted(table)} LIMIT 0`);
    return true;
  } catch {
    return false;
  }
}

// Of a table WITHOUT ROWID: with the collations of its index, which alone make it unique.
function keyOf(database: DatabaseSync, table: string): Part[] {
  const rows = all(
    database,
    `SELECT x.name, x.coll FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x
     WHERE l.origin = 'pk' AND x.key AND x.seqno < (SELECT count(*) FROM pragma_table_xinfo(?) WHERE pk > 0) ORDER BY x.seqno`,
    table, table,
  );
  return rows.map(({ name, coll }) => ({ name, sql: `${quoted(name)} COLLATE ${quoted(coll)}` }));
}

export function columnsOf(database: DatabaseSync, table: string): Column[] {
  const rows = all(database, `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)`, table);
  return rows
    .filter(({ hidden }) => hidden !== 1)
    .map(({ name, type, notnull, dflt_value, pk, hidden }) => ({
      name, type, not_null: !!notnull, default: dflt_value === null ? null : cut(dflt_value), primary_key: pk, generated: hidden > 1,
    }));
}

// Whether a column makes a REAL of every number (https://sqlite.org/datatype3.html, 3.1).
export function isReal(type: string): boolean {
  return /REAL|FLOA|DOUB/i.test(type) && !/INT|CHAR|CLOB|TEXT|BLOB/i.test(type);
}

// The names of the tables and views, in the order in which they were made; those that belong to a virtual table too.
export function namesOf(database: DatabaseSync): { name: string; kind: Kind; strict: boolean; without_rowid: boolean }[] {
  const rows = all(database, "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND substr(name, 1, 7) <> 'sqlite_'");
  const order = new Map(all(database, "SELECT name FROM sqlite_schema").map(({ name }, index) => [name, index]));
  rows.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
  return rows.map(({ name, type, wr, strict }) => ({ name, kind: type, strict: !!strict, without_rowid: !!wr && type !== "virtual" }));
}

export function describe(database: DatabaseSync): object {
  const sql = new Map<string, string>();
  const objects = all(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE typeof(name) = 'text'");
  for (const { type, name, sql: text } of objects) sql.set(`${type} ${name}`, cut(text ?? ""));
  const triggers = objects.filter(({ type }) => type === "trigger");
  const tables: object[] = [];
  const end = performance.now() + COUNT_MS_MAX;
  let bytes = 0;
  let more = false;
  for (const each of namesOf(database)) {
    more = tables.length >= TABLES_MAX || bytes > ANSWER_BYTES_MAX;
    if (more) break;
    const made = sql.get(`${each.kind === "view" ? "view" : "table"} ${each.name}`) ?? "";
    const mine = triggers.filter(({ tbl_name }) => tbl_name === each.name);
    const table = { ...each, platform: isPlatforms(each.name), sql: made, ...partsOf(database, each.name, each.kind, sql) };
    const counts = each.kind === "table" && performance.now() < end ? count(database, each.name) : {};
    tables.push({ ...table, ...counts, triggers: mine.map(({ name, sql }) => ({ name, sql: cut(sql ?? "") })) });
    bytes += Buffer.byteLength(JSON.stringify(tables.at(-1)));
  }
  if (bytes > ANSWER_BYTES_MAX) tables.pop();
  const one = (pragma: string) => Object.values(all(database, `PRAGMA ${pragma}`)[0] ?? { none: 0 })[0];
  return {
    tables, more: more || bytes > ANSWER_BYTES_MAX,
    page_size: one("page_size"), page_count: one("page_count"), free_pages: one("freelist_count"), encoding: one("encoding"),
    journal_mode: one("journal_mode"), user_version: one("user_version"), application_id: one("application_id"),
  };
}

function partsOf(database: DatabaseSync, name: string, kind: Kind, sql: Map<string, string>): object {
  const empty = { columns: [], key: [], indexes: [], foreign_keys: [], problem: "" };
  try {
    const { columns, key } = tableOf(database, name);
    return { ...empty, columns, key: key.map((part) => part.name), indexes: indexesOf(database, name, sql), foreign_keys: foreignKeysOf(database, name) };
  } catch (error: any) {
    return { ...empty, problem: cut(String(error.message)) }; // a view of what is not there
  }
}

function indexesOf(database: DatabaseSync, table: string, sql: Map<string, string>): object[] {
  return all(database, `SELECT name, "unique", origin, partial FROM pragma_index_list(?)`, table).map(({ name, unique, origin, partial }) => ({
    name, unique: !!unique, origin: { c: "index", u: "unique", pk: "primary_key" }[origin as string], partial: !!partial,
    columns: all(database, `SELECT name, "desc" FROM pragma_index_xinfo(?) WHERE key`, name).map((part) => part.name),
    sql: sql.get(`index ${name}`) ?? "",
  }));
}

function foreignKeysOf(database: DatabaseSync, table: string): object[] {
  const rows = all(database, `SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq`, table);
  const found = new Map<number, any>();
  for (const { id, table: other, from, to, on_update, on_delete } of rows) {
    if (!found.has(id)) found.set(id, { table: other, from: [], to: [], on_update, on_delete });
    found.get(id).from.push(from);
    if (to !== null) found.get(id).to.push(to);
  }
  return [...found.values()];
}

// How many rows, as far as they are counted.
function count(database: DatabaseSync, table: string): object {
  try {
    const [{ n }] = all(database, `SELECT count(*) AS n FROM (SELECT 1 FROM ${quoted(table)} LIMIT ${COUNTED_MAX + 1})`);
    return { rows: Math.min(n, COUNTED_MAX), rows_exact: n <= COUNTED_MAX };
  } catch {
    return {};
  }
}

function cut(text: string): string {
  return text.length > SQL_BYTES_MAX ? `${text.slice(0, SQL_BYTES_MAX).toWellFormed()} …` : text;
}
