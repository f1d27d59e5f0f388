// What differs between two states of one table, as queries: how to count the rows, list and read them.

import { cell, differing, lower, matching, nameable, quoted, type Named, type Pair } from "./pairs.ts";
import { exact, same, type Value } from "./value.ts";

export const COLUMNS_MAX = 900; // shown of a row; SQLite has 2,000 in a result, and an updated row is shown twice
const SHOWN_BYTES = 1_000; // of one value
const SHOWN_OF_MANY = 100; // the same, in a row of more than MANY columns
const MANY = 100;

export type Changed = {
  change: string;
  key: Value[] | null;
  before: Value[] | null;
  after: Value[] | null;
  differs: string[];
  count: number;
};
export type Query = { count: string; rows: (after: boolean) => string; read: (values: any[]) => Changed };

// For deleted, updated and inserted rows: how to count, list and read them. None where there can be none.
export function queries(pair: Pair): (Query | null)[] {
  if (pair.way === "content") return multiset(pair);
  const { before, after, key, both } = pair;
  const [old, now] = [pair.old.slice(0, COLUMNS_MAX), pair.now.slice(0, COLUMNS_MAX)];
  const [o, n] = [before && `past.${quoted(before.name)} AS o`, after && `main.${quoted(after.name)} AS n`];
  const matches = matching(key);
  const paged = (alias: string, select: string, from: string, where: string) => (later: boolean) => {
    const keys = key.map((part) => cell(alias, part));
    const place = later ? ` AND (${keys.join()}) > (${keys.map(() => "?").join()})` : "";
    return `SELECT ${[...keys, select].join()} FROM ${from} WHERE ${where}${place} ORDER BY ${keys.join()} LIMIT ? OFFSET ?`;
  };
  const alone = (alias: string, columns: string[], from: string, other: string | null, change: string): Query => {
    const where = other ? `NOT EXISTS (SELECT 1 FROM ${other} WHERE ${matches})` : "1";
    const read = (values: any[]): Changed => {
      const [named, shown] = [nameable(values.slice(0, key.length)), row(values.slice(key.length), columns, pair.reals)];
      const [was, is] = change === "deleted" ? [shown, null] : [null, shown];
      return { change, key: named, before: was, after: is, differs: [], count: 1 };
    };
    const select = columns.map((name) => `${alias}.${quoted(name)}`).join() || "NULL";
    return { count: `SELECT count(*) FROM ${from} WHERE ${where}`, rows: paged(alias, select, from, where), read };
  };
  const altered = (): Query => {
    const join = `${o} CROSS JOIN ${n}`; // in this order: each old row, and its new one by the key
    const where = `${matches} AND ${differing(both)}`;
    const wide = [...old.map((c) => `o.${quoted(c)}`), ...now.map((c) => `n.${quoted(c)}`)].join();
    const found = both.map((name) => [name, at(old, name), at(now, name)] as const);
    const places = found.filter(([, was, is]) => was >= 0 && is >= 0);
    const read = (values: any[]): Changed => {
      const rest = values.slice(key.length);
      const [left, right] = [rest.slice(0, old.length), rest.slice(old.length)];
      const differs = places.filter(([, was, is]) => !same(left[was], right[is])).map(([name]) => name);
      const [was, is] = [row(left, old, pair.reals), row(right, now, pair.reals)];
      return { change: "updated", key: nameable(values.slice(0, key.length)), before: was, after: is, differs, count: 1 };
    };
    return { count: `SELECT count(*) FROM ${join} WHERE ${where}`, rows: paged("o", wide, join, where), read };
  };
  return [
    o ? alone("o", old, o, n, "deleted") : null,
    o && n && both.length ? altered() : null,
    n ? alone("n", now, n, o, "inserted") : null,
  ];
}

// Rows that nothing tells apart: how many more, or fewer, there are of each content.
export function multiset({ before, after, both, old, now, reals }: Pair): (Query | null)[] {
  const columns = before && after ? both : before ? old : now;
  const names = columns.map((_, index) => `c${index}`);
  const side = (table: Named, where: string, sign: number) =>
    `SELECT ${[...columns.map((c, i) => `t.${quoted(c)} AS ${names[i]}`), `${sign} AS d`].join()} FROM ${where}.${quoted(table.name)} AS t`;
  const sides = [...(before ? [side(before, "past", -1)] : []), ...(after ? [side(after, "main", 1)] : [])].join(" UNION ALL ");
  const exactly = names.flatMap((name) => [`${name} COLLATE BINARY`, `typeof(${name})`]).join();
  const query = (sign: string, change: string, place: (names: string[], shown: Value[]) => Value[] | null): Query => {
    const found = `SELECT ${names.join()}, abs(sum(d)) AS d FROM (${sides}) GROUP BY ${exactly} HAVING sum(d) ${sign} 0`;
    const read = (values: any[]): Changed => {
      const shown = row(values.slice(0, -1), columns, reals);
      const [was, is] = change === "deleted" ? [place(old, shown), null] : [null, place(now, shown)];
      return { change, key: null, before: was, after: is, differs: [], count: Number(values.at(-1)) };
    };
    return { count: `SELECT sum(d) FROM (${found})`, rows: () => `${found} ORDER BY ${exactly} LIMIT ? OFFSET ?`, read };
  };
  const indices = new Map(columns.map((name, index) => [lower(name), index]));
  const place = (wanted: string[], shown: Value[]) => wanted.map((name) => shown[indices.get(lower(name)) ?? -1] ?? null);
  return [query("<", "deleted", place), null, query(">", "inserted", place)];
}

// Values as they are shown; long ones by their beginning.
function row(values: any[], columns: string[], reals: Set<string>): Value[] {
  return values.map((value, index) => exact(value, reals.has(lower(columns[index])), values.length > MANY ? SHOWN_OF_MANY : SHOWN_BYTES));
}

function at(names: string[], name: string): number {
  return names.findIndex((other) => lower(other) === lower(name));
}
