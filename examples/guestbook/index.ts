// A guestbook: a form, a table, and a page that shows the last entries. What people write is escaped.
import { Database } from "bun:sqlite";

const ENTRIES_SHOWN = 50;
const db = new Database("guestbook.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, name TEXT NOT NULL, words TEXT NOT NULL, at TEXT NOT NULL)");

const add = db.query("INSERT INTO entries (name, words, at) VALUES (?, ?, ?)");
const last = db.query<{ name: string; words: string; at: string }, [number]>(
  "SELECT name, words, at FROM entries ORDER BY id DESC LIMIT ?",
);

function page(): string {
  const entries = last.all(ENTRIES_SHOWN).map(
    ({ name, words, at }) => `<li><b>${Bun.escapeHTML(name)}</b> ${Bun.escapeHTML(words)} <small>${at.slice(0, 10)}</small></li>`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Guestbook</title>
<style>body { font: 1rem/1.6 system-ui; max-width: 36rem; margin: 2rem auto; padding: 0 1rem } input { font: inherit }</style>
<h1>Guestbook</h1>
<form method="post"><input name="name" maxlength="40" placeholder="Your name" aria-label="Your name" required>
<input name="words" maxlength="300" placeholder="A few words" aria-label="A few words" required> <button>Sign</button></form>
<ol reversed>${entries.join("\n")}</ol></html>`;
}

export default {
  async fetch(request: Request) {
    if (request.method === "POST") {
      const form = await request.formData();
      const [name, words] = ["name", "words"].map((field) => String(form.get(field) ?? "").trim().slice(0, 300));
      if (!name || !words) return new Response("A name and a few words, please.\n", { status: 400 });
      add.run(name, words, new Date().toISOString());
      return new Response(null, { status: 303, headers: { location: "/" } });
    }
    return new Response(page(), { headers: { "content-type": "text/html; charset=utf-8" } });
  },
};
