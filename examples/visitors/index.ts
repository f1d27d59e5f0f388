// Counts its visitors in a SQLite file. The count stays, also in the next version.
import { Database } from "bun:sqlite";

const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS visits (at TEXT)");

export default {
  fetch(request: Request) {
    if (new URL(request.url).pathname !== "/") return new Response("Not found\n", { status: 404 });

    db.run("INSERT INTO visits VALUES (datetime('now'))");
    const { count } = db.query("SELECT count(*) AS count FROM visits").get() as { count: number };
    console.log(`visit number ${count}`);

    return new Response(`<h1>Hello!</h1><p>You are visitor number ${count}.</p>`, {
      headers: { "content-type": "text/html" },
    });
  },
};
