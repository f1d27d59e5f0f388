// Run in an app's sandbox, as the app: is a database that was brought back whole? What is in it was the app's to write,
// so it is opened here and nowhere else, and read only: nothing appears beside it.
//
//   bun --no-install restored.ts FILE
//
// Prints one JSON object: {"ok": true}, or {"problem": "one sentence"}.

import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";

const HEAP_BYTES_MAX = 96 << 20; // SQLite's own, of the memory that this process may have

console.log(JSON.stringify(checked(process.argv[2])));

function checked(path: string): object {
  try {
    const found = open(path).prepare("PRAGMA integrity_check(1)").all() as { integrity_check: string }[];
    const said = found[0]?.integrity_check ?? "nothing was said";
    return said === "ok" ? { ok: true } : { problem: String(said).slice(0, 300) };
  } catch (error: any) {
    return { problem: String(error.message).slice(0, 300) };
  }
}

// Immutable: without locks and without a log, as nobody else has it.
function open(path: string): DatabaseSync {
  const options = { readOnly: true, allowExtension: false, defensive: true };
  const database = new DatabaseSync(`${pathToFileURL(path)}?immutable=1`, { ...options, limits: { attach: 0 } } as any);
  database.exec(`PRAGMA hard_heap_limit = ${HEAP_BYTES_MAX}`);
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
  return database;
}
