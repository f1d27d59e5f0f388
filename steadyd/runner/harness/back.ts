// Run in an app's sandbox, as the app, in its folder: rows as they were at an earlier moment, brought back into the live
// database in one transaction, all that is asked for or nothing.
//
//   bun --no-install back.ts BEFORE     with STEADY_BACK={"file", "tables": [{"table", "keys"}], "overwrite"}
//
// BEFORE is a file that nobody writes to; without keys it is the whole table. A live row that differs stays as it is unless
// `overwrite` says otherwise, and rows that came since stay in any case. What the database demands it gets: constraints,
// foreign keys, and triggers, by which apps keep indexes of their own. Prints one JSON object.

import type { DatabaseSync } from "node:sqlite";
import { multiset } from "./differences.ts";
import { leave, openWriting, own, refusal, Refusal, transaction, writingError } from "./guard.ts";
import { all, cell, differing, each, matching, nameable, paired, quoted, type Pair } from "./pairs.ts";
import { given, type Value } from "./value.ts";

const PROBLEMS_MAX = 20; // told of one attempt
const SKIPS_MAX = 100; // rows that were left alone, by their key

// Values: https://sqlite.org/rescode.html
const CONSTRAINT = 19;
const FOREIGN_KEY = 787;

type Key = Value[];
type Wish = { file: string; tables: { table: string; keys: Key[] | null }[]; overwrite: boolean };
type Told = {
  inserted: number;
  overwritten: number;
  unchanged: number;
  skipped: number;
  skips: { table: string; key: Key | null; reason: string }[];
  made: string[];
};
type Problem = { table: string; key: Key | null; message: string };

leave(answer(process.argv[2], JSON.parse(process.env.STEADY_BACK!)));

function answer(before: string, wish: Wish): object {
  try {
    const database = openWriting(`./${wish.file}`, true, before);
    return transaction(database, () => bring(database, wish), (error) => explain(database, wish, error));
  } catch (error: any) {
    return { error: refusal(writingError(error)) };
  }
}

function bring(database: DatabaseSync, { tables, overwrite }: Wish): Told {
  own(database, "PRAGMA defer_foreign_keys = ON"); // a row may come before the one that it refers to
  const told: Told = { inserted: 0, overwritten: 0, unchanged: 0, skipped: 0, skips: [], made: [] };
  const problems: Problem[] = [];
  for (const { table, keys } of tables) {
    const missing = !there(database, table).after;
    if (missing) define(database, "table", table);
    const pair = there(database, table);
    if (pair.way === "content") contents(database, pair, keys, told, problems);
    else rows(database, pair, keys, overwrite, told, problems);
    if (!missing) continue;
    for (const kind of ["index", "trigger"]) define(database, kind, table);
    told.made.push(table);
  }
  if (problems.length) refuse(problems);
  return told;
}

function there(database: DatabaseSync, table: string): Pair {
  const pair = paired(database, table);
  if (!pair?.before) throw new Refusal("not_found", `There was no table “${table}” at that moment.`);
  const other = [pair.before, pair.after].find((side) => side && side.kind !== "table");
  if (other) throw new Refusal("invalid", `“${table}” is a ${other.kind} table: its rows lie in others.`);
  return pair;
}

// What stood in the schema then, made again.
function define(database: DatabaseSync, kind: string, table: string): void {
  const query = "SELECT sql FROM past.sqlite_schema WHERE type = ? AND lower(tbl_name) = lower(?) AND sql NOT NULL";
  for (const [sql] of all(database, query, kind, table)) database.prepare(String(sql)).run();
}

function rows(database: DatabaseSync, pair: Pair, keys: Key[] | null, overwrite: boolean, told: Told, problems: Problem[]): void {
  const { key, both } = pair;
  const table = pair.after!.name;
  const [o, n] = [`past.${quoted(pair.before!.name)} AS o`, `main.${quoted(table)}`];
  const [exactly, names] = [key.map((part) => cell("o", part)), pair.way === "rowid" ? [key[0].name, ...both] : both];
  const one = exactly.map((part) => `${part} = ?`).join(" AND ");
  const [live, other] = ["1", differing(both)].map((more) => `EXISTS (SELECT 1 FROM ${n} AS n WHERE ${matching(key)} AND ${more})`);
  const look = `SELECT ${[...key.map((part) => `o.${quoted(part.name)}`), live, other].join()} FROM ${o}`;
  // OR ABORT: a table that says ON CONFLICT REPLACE would lose a live row that nobody asked to overwrite.
  const insert = database.prepare(
    `INSERT OR ABORT INTO ${n} (${names.map(quoted).join()}) SELECT ${names.map((name) => `o.${quoted(name)}`).join()} FROM ${o} WHERE ${one}`,
  );
  const settings = both.map((name) => `${quoted(name)} = o.${quoted(name)}`).join();
  const update = database.prepare(`UPDATE OR ABORT ${n} AS n SET ${settings} FROM ${o} WHERE ${matching(key)} AND ${one}`);
  const skip = (named: Key | null, reason: string) => {
    told.skipped += 1;
    if (told.skips.length < SKIPS_MAX) told.skips.push({ table, key: named, reason });
  };
  const take = (found: any[]) => {
    const [exact, [isLive, differs]] = [found.slice(0, key.length), found.slice(key.length).map(Number)];
    if (isLive && !differs) told.unchanged += 1;
    else if (isLive && !overwrite) skip(nameable(exact), "differs");
    else if (attempt(() => (isLive ? update : insert).run(...exact), table, nameable(exact), problems))
      told[isLive ? "overwritten" : "inserted"] += 1;
  };
  if (keys === null) for (const found of each(database, `${look} ORDER BY ${exactly.join()}`)) take(found);
  for (const named of keys ?? []) {
    if (named.length !== key.length)
      throw new Refusal("invalid", `A key of “${table}” is [${key.map((part) => part.name).join(", ")}].`);
    const found = all(database, `${look} WHERE ${one}`, ...named.map(given));
    if (found.length) take(found[0]);
    else skip(named, "not_there");
  }
}

// Rows that nothing tells apart: of each content as many as there are fewer now.
function contents(database: DatabaseSync, pair: Pair, keys: Key[] | null, told: Told, problems: Problem[]): void {
  const table = pair.after!.name;
  if (keys !== null) throw new Refusal("invalid", `Rows of “${table}” have no key: bring back the whole table.`);
  const [names, values] = [pair.both.map(quoted).join(), pair.both.map(() => "?").join()];
  const insert = database.prepare(`INSERT OR ABORT INTO main.${quoted(table)} (${names}) VALUES (${values})`);
  for (const row of all(database, multiset(pair)[0]!.rows(false), -1, 0))
    for (let times = Number(row.at(-1)); times > 0; times--)
      if (attempt(() => insert.run(...row.slice(0, -1)), table, null, problems)) told.inserted += 1;
}

// Whether it was done. What a constraint forbids is collected, so that one attempt tells of several.
function attempt(work: () => void, table: string, key: Key | null, problems: Problem[]): boolean {
  try {
    work();
    return true;
  } catch (error: any) {
    if ((Number(error.errcode) & 0xff) !== CONSTRAINT) throw error;
    problems.push({ table, key, message: String(error.message) });
    if (problems.length >= PROBLEMS_MAX) refuse(problems);
    return false;
  }
}

// Foreign keys are looked at when all rows are there; what is missing then is told by the row that wants it.
function explain(database: DatabaseSync, { tables }: Wish, error: any): void {
  if (Number(error.errcode) !== FOREIGN_KEY) return;
  const problems = tables.flatMap(({ table }) =>
    all(database, `PRAGMA main.foreign_key_check(${quoted(table)})`).map(([, row, parent]) => {
      const child = row === null ? "a row" : `row ${row}`;
      return { table, key: null, message: `there is no row of “${parent}” that ${child} of “${table}” refers to.` };
    }),
  );
  refuse(problems.length ? problems.slice(0, PROBLEMS_MAX) : [{ table: "", key: null, message: String(error.message) }]);
}

function refuse(problems: Problem[]): never {
  throw new Refusal("conflict", `Nothing was brought back: ${problems[0].message}`, { problems });
}
