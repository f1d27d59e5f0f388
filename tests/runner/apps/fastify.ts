import Fastify from "fastify";

const app = Fastify({ logger: true });
app.get("/", async (request) => ({ framework: "fastify", client: request.ip, host: request.headers.host }));
app.post("/echo", async (request, reply) => reply.code(201).send(request.body));
await app.listen({ port: 3000, host: "0.0.0.0" });
console.log(`Listening on ${app.server.address().port}`);
