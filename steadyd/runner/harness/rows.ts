// A page of a table's rows: by key, so that what is inserted or deleted meanwhile neither hides a row nor shows one twice.

import type { DatabaseSync } from "node:sqlite";
import { Refusal } from "./guard.ts";
import { type Column, type Table, isReal, quoted, tableOf } from "./table.ts";
import { BadText, type Held, type Value, bound, exact, given, place } from "./value.ts";

const CELL_BYTES_MAX = 4 << 10; // shown of one value
const CURSOR_BYTES_MAX = 2 << 10;
const FILTERS_MAX = 32;
const COLUMNS_MAX = 1_900; // SQLite has 2,000 at most, and the key is some of them

export type Filter = { column: string; is: string; value?: Value };
export type Page = {
  table: string; columns: string[] | null; filters: Filter[]; sort: string; descending: boolean; after: string; rows: number; bytes: number;
  cell_bytes?: number;
};
// Where the next page begins: after the row of this key, which has this value in the column that sorts. What is too long is
// looked up by the key. `skip`: of a view, whose rows have no key.
type Cursor = { key?: Value[]; at?: Value; skip?: number };
type Part = { sql: string; values: Held[] };

const COMPARED: Record<string, string> = { "=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", like: "LIKE", glob: "GLOB" };

export function page(database: DatabaseSync, wanted: Page): object {
  const table = tableOf(database, wanted.table);
  const columns = wanted.columns ? wanted.columns.map((name) => columnOf(table, name)) : table.columns.slice(0, COLUMNS_MAX);
  if (columns.length > COLUMNS_MAX) throw new Refusal("invalid", `There are more than ${COLUMNS_MAX} columns.`, { field: "columns" });
  const sort = wanted.sort ? columnOf(table, wanted.sort) : undefined;
  const cursor = wanted.after ? parse(wanted.after, table) : undefined;
  const where = wanted.filters.slice(0, FILTERS_MAX).map((filter) => filtered(table, filter));
  if (wanted.filters.length > FILTERS_MAX) throw new Refusal("invalid", `There are more than ${FILTERS_MAX} filters.`);
  if (cursor?.key) where.push(beyond(database, table, sort, wanted.descending, cursor));
  const keys = table.key.map(({ sql }) => sql);
  const names = [...keys, ...(sort ? [quoted(sort.name)] : []), ...columns.map(({ name }) => quoted(name))];
  const conditions = where.map(({ sql }) => `(${sql})`).join(" AND ");
  const skip = cursor?.skip ?? 0;
  const sql =
    `SELECT ${names.join(", ") || "1"} FROM ${quoted(table.name)}${conditions && ` WHERE ${conditions}`}` +
    `${ordered(table, sort, wanted.descending)} LIMIT ${wanted.rows + 1} OFFSET ${skip}`;
  const statement = reading(database, sql);
  const found: { key: Value[] | null; values: Value[] }[] = [];
  let [bytes, next, more] = [0, "", false];
  for (const values of statement.iterate(...where.flatMap(({ values }) => values.map(bound)))) {
    const key = values.slice(0, keys.length) as Held[];
    const shown = values.slice(values.length - columns.length).map((value: Held, index: number) =>
      exact(repaired(database, table, key, columns[index], value), isReal(columns[index].type), wanted.cell_bytes ?? CELL_BYTES_MAX));
    const row = { key: keys.length ? key.map((value) => exact(value, false)) : null, values: shown };
    bytes += Buffer.byteLength(JSON.stringify(row));
    more = found.length >= wanted.rows || (bytes > wanted.bytes && found.length > 0);
    if (more) break;
    if (bytes > wanted.bytes) throw new Refusal("too_large", "One row is larger than an answer may be: choose columns.");
    found.push(row);
    next = follow(row.key, sort && exact(values[keys.length] as Held, false), skip + found.length);
  }
  return { table: table.name, key: table.key.map(({ name }) => name), columns: columns.map(({ name }) => name), rows: found, more, next: more ? next : "" };
}

// A TEXT that JavaScript could not hold, once more as its bytes.
export function repaired(database: DatabaseSync, table: Table, key: Held[], column: Column, value: Held): Held {
  if (typeof value !== "string" || !value.includes("\uFFFD") || !key.length) return value;
  const statement = reading(database, `SELECT CAST(${quoted(column.name)} AS BLOB) FROM ${quoted(table.name)} WHERE ${keyed(table)}`);
  const bytes = (statement.get(...key.map(bound)) as any)?.[0];
  return bytes instanceof Uint8Array && !Buffer.from(value).equals(bytes) ? new BadText(bytes) : value;
}

export function reading(database: DatabaseSync, sql: string): any {
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  return statement;
}

export function columnOf(table: Table, name: string): Column {
  const found = table.columns.find((column) => column.name === name);
  if (!found) throw new Refusal("invalid", `“${table.name}” has no column “${name.slice(0, 200)}”.`, { column: name.slice(0, 200) });
  return found;
}

export function keyed(table: Table): string {
  return table.key.map(({ sql }) => `${sql} = ?`).join(" AND ");
}

function filtered(table: Table, { column, is, value = null }: Filter): Part {
  const name = quoted(columnOf(table, column).name);
  if (is === "null" || is === "not null") return { sql: `${name} IS ${is.toUpperCase()}`, values: [] };
  const held = given(value);
  if (is === "contains") return { sql: `instr(${name}, ${place(held)}) > 0`, values: [held] };
  if (!Object.hasOwn(COMPARED, is)) throw new Refusal("invalid", `A filter's “is” is one of: ${[...Object.keys(COMPARED), "contains", "null", "not null"].join(", ")}.`);
  return { sql: `${name} ${COMPARED[is]} ${place(held)}`, values: [held] };
}

// What comes after the cursor, in the order of `ordered`: NULL is the smallest there is.
function beyond(database: DatabaseSync, table: Table, sort: Column | undefined, descending: boolean, cursor: Cursor): Part {
  const key = cursor.key!.map(given);
  const sign = descending ? "<" : ">";
  const columns = table.key.map(({ sql }) => sql);
  const rest = { sql: `(${columns.join(", ")}) ${sign} (${key.map(place).join(", ")})`, values: key };
  if (!sort) return rest;
  const name = quoted(sort.name);
  const at = cursor.at === undefined ? sortedAt(database, table, name, key) : given(cursor.at);
  const tied = { sql: `${name} IS NULL AND ${rest.sql}`, values: key };
  if (at === null) return descending ? tied : { sql: `${name} IS NOT NULL OR (${tied.sql})`, values: key };
  const p = place(at);
  const later = { sql: `${name} ${sign}= ${p} AND (${name} ${sign} ${p} OR ${rest.sql})`, values: [at, at, ...key] };
  return descending ? { sql: `${name} IS NULL OR (${later.sql})`, values: later.values } : later;
}

function sortedAt(database: DatabaseSync, table: Table, name: string, key: Held[]): Held {
  const found = reading(database, `SELECT ${name} FROM ${quoted(table.name)} WHERE ${keyed(table)}`).get(...key.map(bound));
  if (!found) throw new Refusal("conflict", "The row that this page would follow is gone. Begin again from the first page.");
  return found[0];
}

function ordered(table: Table, sort: Column | undefined, descending: boolean): string {
  const direction = descending ? " DESC" : "";
  const parts = table.key.map(({ sql }) => sql + direction);
  if (sort) parts.unshift(`${quoted(sort.name)}${direction}`);
  return parts.length ? ` ORDER BY ${parts.join(", ")}` : "";
}

function follow(key: Value[] | null, at: Value | undefined, skip: number): string {
  if (!key) return written({ skip });
  const whole = written({ key, at });
  return whole.length <= CURSOR_BYTES_MAX ? whole : written({ key });
}

function written(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString("base64url");
}

function parse(text: string, table: Table): Cursor {
  try {
    const cursor = JSON.parse(Buffer.from(text, "base64url").toString());
    const fits = table.key.length ? cursor.key.length === table.key.length : Number.isSafeInteger(cursor.skip) && cursor.skip >= 0;
    if (fits) return cursor;
  } catch {}
  throw new Refusal("invalid", "“after” is no place in this table. Begin again from the first page.", { field: "after" });
}
