// Imported by the harness and by the REPL: every SQLite database that the app opens waits for a lock, unless the app says
// otherwise. Bun's default is to fail at once, and whoever replicates the database takes its write lock for moments.
// And it leaves its log to whoever replicates it: SQLite would begin the log anew after a thousand pages, and what was
// not read by then would be missing from the replica. Only a log that nobody empties is emptied here, later.
//
// And every one is closed when the app ends by itself. Left open, Bun empties its log into the file at its end, whoever
// else has it open, and then whoever replicates it misses what was written last.
//
// The classes are replaced in their modules before anybody has imported these: 0.6 ms, most of which an app that uses
// SQLite would spend anyway. Child processes, and workers made by node:worker_threads, are as Bun makes them.

const BUSY_MS = 5_000;
const LOG_PAGES = 10_000; // 40 MiB with pages of the usual size; SQLite's own default is 1,000
const KEEP_LOG = `PRAGMA wal_autocheckpoint = ${LOG_PAGES}`;

const bun = require("bun:sqlite");
const node = require("node:sqlite");

bun.Database = bun.default = patient(bun.Database, (original, args, target) => {
  const database = Reflect.construct(original, args, target);
  database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  database.run(KEEP_LOG);
  return database;
});
bun.Database.open = function open(filename: string, options: unknown) {
  return new bun.Database(filename, options);
};
node.DatabaseSync = patient(node.DatabaseSync, (original, [path, options, ...rest], target) => {
  const database = Reflect.construct(original, [path, { timeout: BUSY_MS, ...options }, ...rest], target);
  if (options?.open !== false) database.exec(KEEP_LOG);
  return database;
});
if (node.default) node.default.DatabaseSync = node.DatabaseSync;

const opened = new Set<WeakRef<any>>();
const forgotten = new FinalizationRegistry((one: WeakRef<any>) => opened.delete(one));
const exit = process.exit;
last();
process.on("beforeExit", last);
process.exit = ((code?: number) => {
  last();
  return exit.call(process, code);
}) as typeof exit;

// After the app's own listeners, which may still write.
function last(): void {
  process.off("exit", close);
  process.on("exit", close);
}

function close(): void {
  for (const one of opened)
    try {
      one.deref()?.close();
    } catch {} // it is closed already
}

// The class itself, but for how it is made: a subclass would not be what its own static methods return.
function patient(original: any, make: (original: any, args: any[], target: any) => any): any {
  const proxy = new Proxy(original, {
    construct: function construct(_, args, target) {
      try {
        const database = make(original, args, target === proxy ? original : target);
        const one = new WeakRef(database);
        opened.add(one);
        forgotten.register(database, one);
        return database;
      } catch (error) {
        Error.captureStackTrace(error as Error, construct); // wrong arguments are the app's: its line is shown, not ours
        throw error;
      }
    },
  });
  return proxy;
}
