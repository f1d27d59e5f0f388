import { Hono } from "hono";
import { getConnInfo } from "hono/bun";
import { logger } from "hono/logger";

const app = new Hono();
app.use(logger());
app.get("/", (c) =>
  c.json({ framework: "hono", client: getConnInfo(c).remote.address, host: c.req.header("host") }),
);
app.post("/echo", async (c) => c.json(await c.req.json(), 201));
export default app;
