// Asked by the clock: every five minutes, and on the mornings of working days. It sleeps in between.
// Run one now: steadyd crons NAME run tick
import { Database } from "bun:sqlite";

const db = new Database("ticks.sqlite");
db.run("CREATE TABLE IF NOT EXISTS ticks (at TEXT NOT NULL)");

export function tick(event: { scheduledTime: number }) {
  db.run("INSERT INTO ticks VALUES (?)", [new Date(event.scheduledTime).toISOString()]);
}

export default {
  fetch(request: Request) {
    const cron = request.headers.get("steady-cron"); // only steadyd can send this
    if (cron) console.log(`${cron} asks for`, new URL(request.url).pathname);
    const rows = db.query("SELECT at FROM ticks ORDER BY at DESC LIMIT 20").values();
    return new Response(["The last ticks:", ...rows.map(String)].join("\n") + "\n");
  },
};
