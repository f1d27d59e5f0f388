// A mid-sized app: a router, a schema, a database with a query builder, and pages from components.
import { Database } from "bun:sqlite";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { Hono } from "hono";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { z } from "zod";

const visits = sqliteTable("visits", { id: integer("id").primaryKey(), at: text("at") });
const sqlite = new Database("data.sqlite");
sqlite.run("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, at TEXT)");
const db = drizzle(sqlite);
const Query = z.object({ name: z.string().default("world") });
const app = new Hono();
app.get("/", (c) => {
  const { name } = Query.parse(c.req.query());
  const rows = db.select().from(visits).all();
  return c.html(renderToString(createElement("p", null, `hello ${name} ${rows.length}`)));
});
export default app;
