import { serve } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.get("/", (c) =>
  c.json({ framework: "hono", client: c.env.incoming.socket.remoteAddress, host: c.req.header("host") }),
);
app.post("/echo", async (c) => c.json(await c.req.json(), 201));
serve({ fetch: app.fetch, port: 3000 }, (info) => console.log(`Listening on ${info.port}`));
