import { Elysia } from "elysia";

const app = new Elysia()
  .get("/", ({ request, server }) => ({
    framework: "elysia",
    client: server?.requestIP(request)?.address,
    host: request.headers.get("host"),
  }))
  .post("/echo", ({ body, set }) => {
    set.status = 201;
    return body;
  })
  .ws("/ws", { message: (socket, message) => void socket.send(message) })
  .listen(3000);
console.log(`Listening on ${app.server?.hostname}:${app.server?.port}`);
