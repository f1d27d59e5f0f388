// A framework from npm: package.json names it, the deploy installs it.
import { Hono } from "hono";

const app = new Hono();

app.get("/", (c) => c.text("Hello from Hono\n"));
app.get("/hello/:name", (c) => c.json({ hello: c.req.param("name") }));

export default app;
