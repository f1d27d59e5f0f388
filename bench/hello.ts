// The app behind every proxy: on a Unix socket, and on TCP for a peer that has no other upstreams.
const large = new Uint8Array(1 << 20).fill(120);

const app = {
  idleTimeout: 0,
  async fetch(request: Request): Promise<Response> {
    if (request.method === "POST") return new Response(String((await request.arrayBuffer()).byteLength));
    return new Response(request.url.endsWith("/large") ? large : "Hello World!");
  },
};

Bun.serve({ ...app, unix: process.env.BENCH_SOCKET! });
Bun.serve({ ...app, hostname: "127.0.0.1", port: Number(process.env.BENCH_PORT) });
console.log("ready");
