// A list of things to do without a line of script: htmx sends the form and puts the answer into the page.
// The app serves htmx itself, from npm.
import { Database } from "bun:sqlite";
import htmx from "htmx.org/dist/htmx.min.js" with { type: "text" };

const db = new Database("tasks.sqlite");
db.run("CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, words TEXT NOT NULL)");

const HTML = { headers: { "content-type": "text/html; charset=utf-8" } };

function item({ id, words }: { id: number; words: string }): string {
  return `<li>${Bun.escapeHTML(words)} <button hx-delete="/tasks/${id}" hx-target="closest li" hx-swap="outerHTML">Done</button></li>`;
}

function page(): string {
  const tasks = db.query<{ id: number; words: string }, []>("SELECT id, words FROM tasks ORDER BY id").all();
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Things to do</title><script src="/htmx.js"></script>
<style>body { font: 1rem/1.6 system-ui; max-width: 36rem; margin: 2rem auto; padding: 0 1rem } input { font: inherit }</style>
<h1>Things to do</h1>
<form hx-post="/tasks" hx-target="#tasks" hx-swap="beforeend" hx-on::after-request="this.reset()">
<input name="words" maxlength="200" aria-label="What is to be done" placeholder="What is to be done" required> <button>Add</button></form>
<ul id="tasks">${tasks.map(item).join("")}</ul></html>`;
}

export default {
  routes: {
    "/": () => new Response(page(), HTML),
    "/htmx.js": () => new Response(htmx as unknown as string, { headers: { "content-type": "text/javascript" } }),
    "/tasks": {
      POST: async (request: Request) => {
        const words = String((await request.formData()).get("words") ?? "").trim().slice(0, 200);
        if (!words) return new Response("", { status: 422 });
        const task = db.query("INSERT INTO tasks (words) VALUES (?) RETURNING id, words").get(words);
        return new Response(item(task as { id: number; words: string }), HTML);
      },
    },
    "/tasks/:id": {
      DELETE: (request: Bun.BunRequest<"/tasks/:id">) => {
        db.run("DELETE FROM tasks WHERE id = ?", [Number(request.params.id)]);
        return new Response("", HTML);
      },
    },
  },
  fetch: () => new Response("Not found\n", { status: 404 }),
};
