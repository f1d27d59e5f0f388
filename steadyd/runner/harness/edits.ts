// Rows of a table that are changed by hand: some edits as one transaction, each only where the row still is as it was when
// somebody looked. The answer holds the edits that would undo them.

import type { DatabaseSync } from "node:sqlite";
import { Refusal, isPlatforms, transaction } from "./guard.ts";
import { columnOf, keyed, reading, repaired } from "./rows.ts";
import { type Table, isReal, quoted, tableOf } from "./table.ts";
import { type Held, type Value, bound, exact, given, place, same } from "./value.ts";

const UNDO_BYTES_MAX = 900 << 10; // so that it fits into a call

type Values = Record<string, Value>;
export type Edit =
  | { op: "update"; key: Value[]; set: Values; was: Values }
  | { op: "insert"; key?: Value[]; set: Values }
  | { op: "delete"; key: Value[]; was: Values };
type Done = { key: Value[]; undo: Edit };

export function edit(database: DatabaseSync, wanted: { table: string; edits: Edit[] }): object {
  const table = tableOf(database, wanted.table);
  if (!table.key.length) throw new Refusal("invalid", `“${table.name}” has no rows of its own that could be edited.`);
  if (isPlatforms(table.name) || table.kind === "shadow")
    throw new Refusal("invalid", `“${table.name}” is not the app's own to edit: ${table.kind === "shadow" ? "it belongs to a virtual table" : "the platform made it"}.`);
  return transaction(database, () => {
    const before = changes(database);
    const done = wanted.edits.map((one, index) => {
      try {
        return one.op === "update" ? update(database, table, one) : one.op === "insert" ? insert(database, table, one) : remove(database, table, one);
      } catch (error: any) {
        throw error instanceof Refusal ? new Refusal(error.code, error.message, { ...error.details, edit: index }) : error;
      }
    });
    const undo = done.map((one) => one.undo).reverse();
    const large = Buffer.byteLength(JSON.stringify(undo)) > UNDO_BYTES_MAX;
    // A virtual table's own tables are written by each edit of it; that is no trigger's doing.
    const further = table.kind === "virtual" ? 0 : changes(database) - before - done.length;
    return { table: table.name, keys: done.map((one) => one.key), undo: large ? null : undo, further };
  });
}

function update(database: DatabaseSync, table: Table, { key, set, was }: Edit & { op: "update" }): Done {
  const names = Object.keys(set);
  if (!names.length) throw new Refusal("invalid", "An update sets nothing.");
  for (const name of names)
    if (!Object.hasOwn(was, name)) throw new Refusal("invalid", `“was” does not say what “${name.slice(0, 200)}” is now.`, { column: name.slice(0, 200) });
  const former = compared(database, table, key, was);
  const values = names.map((name) => held(table, name, set[name]));
  const parts = names.map((name, index) => `${quoted(name)} = ${place(values[index])}`);
  run(database, `UPDATE ${quoted(table.name)} SET ${parts.join(", ")} WHERE ${keyed(table)}`, [...values, ...key.map(given)]);
  const now = table.key.map(({ name }, index) => {
    const column = names.find((each) => each === name || (table.rowid && each === table.alias));
    return column === undefined ? key[index] : set[column];
  });
  const stored = fetched(database, table, now, names);
  if (!stored) throw new Refusal("sql_error", "The row is not there after the update: a trigger moved or removed it. Nothing was changed.");
  const undo: Edit = { op: "update", key: now, set: shownOf(table, names, former), was: shownOf(table, names, stored) };
  return { key: now, undo };
}

function insert(database: DatabaseSync, table: Table, { key, set }: Edit & { op: "insert" }): Done {
  const names = Object.keys(set);
  const values = names.map((name) => held(table, name, set[name]));
  const columns = names.map(quoted);
  if (key && table.rowid && !names.includes(table.alias)) {
    columns.unshift(table.key[0].sql);
    values.unshift(...key.map(given));
  }
  const sql = `INSERT INTO ${quoted(table.name)} ` + (columns.length ? `(${columns.join(", ")}) VALUES (${values.map(place).join(", ")})` : "DEFAULT VALUES");
  const made = inserted(database, table, sql, values);
  const all = table.columns.map(({ name }) => name);
  const stored = fetched(database, table, made, all);
  if (!stored) throw new Refusal("sql_error", "The row is not there after the insert: a trigger moved or removed it. Nothing was changed.");
  return { key: made, undo: { op: "delete", key: made, was: shownOf(table, all, stored) } };
}

function inserted(database: DatabaseSync, table: Table, sql: string, values: Held[]): Value[] {
  if (table.kind === "virtual") { // these know no RETURNING
    run(database, sql, values);
    return [exact((reading(database, "SELECT last_insert_rowid()").get() as any)[0], false)];
  }
  const made = reading(database, `${sql} RETURNING ${table.key.map(({ name }) => (table.rowid ? name : quoted(name))).join(", ")}`);
  return made.all(...values.map(bound))[0].map((value: Held) => exact(value, false));
}

function remove(database: DatabaseSync, table: Table, { key, was }: Edit & { op: "delete" }): Done {
  if (!Object.keys(was).length) throw new Refusal("invalid", "“was” does not say what the row holds now: name a column at least.");
  compared(database, table, key, was);
  const names = table.columns.filter(({ generated }) => !generated).map(({ name }) => name);
  const former = fetched(database, table, key, names)!;
  run(database, `DELETE FROM ${quoted(table.name)} WHERE ${keyed(table)}`, key.map(given));
  return { key, undo: { op: "insert", ...(table.rowid ? { key } : {}), set: shownOf(table, names, former) } };
}

// What the row holds in these columns, which must be what `was` says.
function compared(database: DatabaseSync, table: Table, key: Value[], was: Values): Held[] {
  if (key.length !== table.key.length) throw new Refusal("invalid", `A key of “${table.name}” has ${table.key.length} values.`);
  const names = Object.keys(was);
  const now = fetched(database, table, key, names);
  if (!now) throw new Refusal("row_changed", "The row is not there any more. Nothing was changed.", { key });
  names.forEach((name, index) => {
    if (isStill(table, name, now[index], was[name])) return;
    const details = { key, column: name.slice(0, 200), now: shownOne(table, name, now[index], 1_000) };
    throw new Refusal("row_changed", `“${name.slice(0, 200)}” is not what it was any more. Nothing was changed.`, details);
  });
  return now;
}

// A value that was shown cut is compared as far as it was shown, and by its length.
function isStill(table: Table, name: string, now: Held, was: Value): boolean {
  if (was !== null && typeof was === "object" && was.bytes !== undefined) {
    const size = typeof now === "string" ? Buffer.byteLength(now) : now instanceof Uint8Array ? now.length : -1;
    const head = was.head ?? was.base64 ?? "";
    const text = now instanceof Uint8Array ? Buffer.from(now).toString("base64") : String(now);
    return size === was.bytes && (typeof now === "string") === (was.head !== undefined) && text.startsWith(head.replace(/=+$/, "").slice(0, -1));
  }
  return same(now, held(table, name, was));
}

function fetched(database: DatabaseSync, table: Table, key: Value[], names: string[]): Held[] | undefined {
  const columns = names.map((name) => columnOf(table, name));
  const values = key.map(given);
  const sql = `SELECT ${names.map(quoted).join(", ") || "1"} FROM ${quoted(table.name)} WHERE ${keyed(table)}`;
  const found = reading(database, sql).get(...values.map(bound)) as Held[] | undefined;
  return found && columns.map((column, index) => repaired(database, table, values, column, found[index]));
}

function held(table: Table, name: string, value: Value): Held {
  const column = columnOf(table, name);
  if (value !== null && typeof value === "object" && value.bytes !== undefined)
    throw new Refusal("invalid", `The value of “${name.slice(0, 200)}” is cut: send it whole.`, { column: name.slice(0, 200) });
  const found = given(value);
  return typeof found === "bigint" && isReal(column.type) ? Number(found) : found;
}

function shownOf(table: Table, names: string[], values: Held[]): Values {
  const made: Values = Object.create(null);
  names.forEach((name, index) => (made[name] = shownOne(table, name, values[index])));
  return made;
}

function shownOne(table: Table, name: string, value: Held, bytes = Infinity): Value {
  return exact(value, isReal(columnOf(table, name).type), bytes);
}

function run(database: DatabaseSync, sql: string, values: Held[]): void {
  database.prepare(sql).run(...values.map(bound));
}

function changes(database: DatabaseSync): number {
  return Number((reading(database, "SELECT total_changes()").get() as any)[0]);
}
