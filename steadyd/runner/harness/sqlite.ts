// Imported by the harness and by the REPL: every SQLite database that the app opens waits for a lock, unless the app says
// otherwise. Bun's default is to fail at once, and whoever replicates the database takes its write lock for moments.
//
// The classes are replaced in their modules before anybody has imported these: 0.6 ms, most of which an app that uses
// SQLite would spend anyway. Child processes, and workers made by node:worker_threads, are as Bun makes them.

const BUSY_MS = 5_000;

const bun = require("bun:sqlite");
const node = require("node:sqlite");

bun.Database = bun.default = patient(bun.Database, (original, args, target) => {
  const database = Reflect.construct(original, args, target);
  database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  return database;
});
bun.Database.open = function open(filename: string, options: unknown) {
  return new bun.Database(filename, options);
};
node.DatabaseSync = patient(node.DatabaseSync, (original, [path, options, ...rest], target) =>
  Reflect.construct(original, [path, { timeout: BUSY_MS, ...options }, ...rest], target),
);
if (node.default) node.default.DatabaseSync = node.DatabaseSync;

// The class itself, but for how it is made: a subclass would not be what its own static methods return.
function patient(original: any, make: (original: any, args: any[], target: any) => any): any {
  const proxy = new Proxy(original, {
    construct: function construct(_, args, target) {
      try {
        return make(original, args, target === proxy ? original : target);
      } catch (error) {
        Error.captureStackTrace(error as Error, construct); // wrong arguments are the app's: its line is shown, not ours
        throw error;
      }
    },
  });
  return proxy;
}
