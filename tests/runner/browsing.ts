// What harness/query.ts does in a process for each request, for many requests in one: a line of JSON in, a line out.

import { edit } from "../../steadyd/runner/harness/edits.ts";
import { openReading, openWriting, refusal, writingError } from "../../steadyd/runner/harness/guard.ts";
import { take } from "../../steadyd/runner/harness/export.ts";
import { put } from "../../steadyd/runner/harness/import.ts";
import { page } from "../../steadyd/runner/harness/rows.ts";
import { Splitter } from "../../steadyd/runner/harness/splitter.ts";
import { describe } from "../../steadyd/runner/harness/table.ts";

function answer({ task, file, ...wanted }: any): object {
  if (task === "split") {
    const splitter = new Splitter();
    const found = wanted.pieces.flatMap((piece: string) => [...splitter.push(piece)]);
    return [...found, ...splitter.push("", true)];
  }
  if (task === "export") return take({ file, ...wanted }, wanted.folder);
  if (task === "import") return put({ file, ...wanted }, wanted.folder);
  const writes = task === "edit";
  const database = writes ? openWriting(file) : openReading(file, "/nowhere");
  try {
    return task === "rows" ? page(database, wanted) : task === "edit" ? edit(database, wanted) : describe(database);
  } finally {
    database.close();
  }
}

for await (const line of console) {
  try {
    console.log(JSON.stringify(answer(JSON.parse(line))));
  } catch (error: any) {
    console.log(JSON.stringify({ error: refusal(writingError(error)) }));
  }
}
