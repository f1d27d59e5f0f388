// A table at two moments, and how a row of one is known in the other. The later state of the database is `main`, the
// earlier one is attached as `past`.

import type { DatabaseSync } from "node:sqlite";
import { isPlatforms } from "./guard.ts";
import { exact, type Value } from "./value.ts";

const KEY_CHARACTERS_MAX = 1_000; // of a key, as JSON, that can be named
const SQLITES = /^sqlite_/i; // tables that SQLite itself keeps

export type Named = { name: string; kind: string; withoutRowid: boolean };
export type Part = { name: string; collation: string };
type Column = { name: string; key: number; notNull: boolean; real: boolean };
type Identity = { way: "key" | "rowid" | "content"; key: Part[] };
// `old` and `now` are the columns then and now, `both` those of both, `reals` those that make a REAL of every number.
export type Pair = Identity & {
  before: Named | null;
  after: Named | null;
  old: string[];
  now: string[];
  both: string[];
  reals: Set<string>;
};

// A table at both moments, and how its rows are known; undefined where it is at neither.
export function paired(database: DatabaseSync, name: string): Pair | undefined {
  const [before, after] = ["past", "main"].map((side) => listed(database, side).get(lower(name)) ?? null);
  if (!(before || after) || isOurs(name)) return undefined;
  const [past, present] = [before && columnsOf(database, "past", before), after && columnsOf(database, "main", after)];
  const [old, now] = [past, present].map((columns) => (columns ?? []).map((column) => column.name));
  const here = new Set(now.map(lower));
  const both = old.filter((column) => here.has(lower(column)));
  const sides = [before && identity(database, "past", before, past!), after && identity(database, "main", after, present!)];
  const [first, second] = sides.filter((side) => side !== null) as Identity[];
  const { way, key } = !second || alike(first, second) ? first : rowid(before, after, [...old, ...now]);
  const reals = new Set([...(past ?? []), ...(present ?? [])].filter((column) => column.real).map((column) => lower(column.name)));
  return { before, after, way, key, old, now, both, reals };
}

export function listed(database: DatabaseSync, side: string): Map<string, Named> {
  const found = all(database, `PRAGMA ${side}.table_list`).filter(([, name]) => !isOurs(String(name)));
  return new Map(
    found.map(([, name, kind, , without]) => [lower(String(name)), { name: String(name), kind: String(kind), withoutRowid: Boolean(without) }]),
  );
}

// The columns that are stored: what is computed, or hidden in a virtual table, is left out.
function columnsOf(database: DatabaseSync, side: string, { name }: Named): Column[] {
  return all(database, `PRAGMA ${side}.table_xinfo(${quoted(name)})`)
    .filter((column) => Number(column[6]) === 0)
    .map(([, name, type, notNull, , key]) => ({ name: String(name), key: Number(key), notNull: Boolean(notNull), real: isReal(String(type)) }));
}

// Whether a column makes a REAL of every number (https://sqlite.org/datatype3.html, 3.1).
function isReal(type: string): boolean {
  return !/INT|CHAR|CLOB|TEXT|BLOB/i.test(type) && /REAL|FLOA|DOUB/i.test(type);
}

// The primary key, if it tells rows apart: SQLite takes NULLs in one, as many as come.
function identity(database: DatabaseSync, side: string, table: Named, columns: Column[]): Identity {
  const key = columns.filter((column) => column.key > 0).sort((a, b) => a.key - b.key);
  const doubtful = table.withoutRowid ? [] : key.filter((column) => !column.notNull);
  const nulls = () => {
    const where = doubtful.map((column) => `t.${quoted(column.name)} IS NULL`).join(" OR ");
    return all(database, `SELECT 1 FROM ${side}.${quoted(table.name)} AS t WHERE ${where} LIMIT 1`).length > 0;
  };
  if (!key.length || (doubtful.length && nulls())) return rowid(table, null, columns.map((column) => column.name));
  const collations = collationsOf(database, side, table);
  return { way: "key", key: key.map(({ name }) => ({ name, collation: collations.get(lower(name)) ?? "BINARY" })) };
}

// How the index of a primary key compares, which alone makes it unique.
function collationsOf(database: DatabaseSync, side: string, { name }: Named): Map<string, string> {
  const index = all(database, `PRAGMA ${side}.index_list(${quoted(name)})`).find((found) => found[3] === "pk");
  if (!index) return new Map();
  const parts = all(database, `PRAGMA ${side}.index_xinfo(${quoted(String(index[1]))})`).filter((part) => Number(part[5]));
  return new Map(parts.map((part) => [lower(String(part[2])), String(part[4])]));
}

// The number that SQLite gives to each row, unless its names are taken by columns.
function rowid(one: Named | null, other: Named | null, columns: string[]): Identity {
  const taken = new Set(columns.map(lower));
  const free = ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name));
  const numbered = free && !one?.withoutRowid && !other?.withoutRowid;
  return numbered ? { way: "rowid", key: [{ name: free, collation: "BINARY" }] } : { way: "content", key: [] };
}

function alike(one: Identity, other: Identity): boolean {
  const said = ({ way, key }: Identity) => JSON.stringify([way, key.map((part) => [lower(part.name), lower(part.collation)])]);
  return said(one) === said(other);
}

// A part of a key, as it is compared.
export function cell(alias: string, { name, collation }: Part): string {
  return `${alias}.${quoted(name)} COLLATE ${quoted(collation)}`;
}

// Whether an old and a new row are the same one.
export function matching(key: Part[]): string {
  return key.map((part) => `${cell("o", part)} = n.${quoted(part.name)}`).join(" AND ");
}

// Whether an old and a new row differ in any of these columns: in value, in type, or only in case.
export function differing(columns: string[]): string {
  if (columns.length > 1) {
    const middle = columns.length >> 1; // a tree, since an expression may be only so deep
    return `(${differing(columns.slice(0, middle))} OR ${differing(columns.slice(middle))})`;
  }
  const [o, n] = [`o.${quoted(columns[0])}`, `n.${quoted(columns[0])}`];
  return `(${o} IS NOT ${n} COLLATE BINARY OR typeof(${o}) IS NOT typeof(${n}))`;
}

export function* each(database: DatabaseSync, sql: string, ...values: any[]): Iterable<any[]> {
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  yield* statement.iterate(...values) as Iterable<any>;
}

export function all(database: DatabaseSync, sql: string, ...values: any[]): any[][] {
  return [...each(database, sql, ...values)];
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function lower(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()); // SQLite folds these and no others
}

// A key as exact JSON; null for one that cannot be named: it is too long, or its text is not UTF-8.
export function nameable(values: any[]): Value[] | null {
  const key = values.map((value) => exact(value, false));
  const named = JSON.stringify(key);
  return named.length > KEY_CHARACTERS_MAX || named.includes("\ufffd") ? null : key;
}

export function isOurs(table: string): boolean {
  return SQLITES.test(table) || isPlatforms(table);
}
