// A counter that survives restarts and new versions: the database is a file beside this one.
import { Database } from "bun:sqlite";

const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, at TEXT NOT NULL)");

const add = db.query("INSERT INTO visits (at) VALUES (?) RETURNING id");
const count = db.query("SELECT count(*) AS visits FROM visits");

export default {
  fetch(request: Request) {
    if (request.method === "POST") return Response.json(add.get(new Date().toISOString()), { status: 201 });
    return Response.json(count.get());
  },
};
