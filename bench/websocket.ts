// An echo server for WebSocket messages.
const app = {
  idleTimeout: 0,
  fetch(request: Request, server: Bun.Server): Response | undefined {
    return server.upgrade(request) ? undefined : new Response("a WebSocket, please", { status: 400 });
  },
  websocket: {
    message(socket: Bun.ServerWebSocket, data: string | Buffer) {
      socket.send(data);
    },
  },
};

Bun.serve({ ...app, unix: process.env.BENCH_SOCKET! });
Bun.serve({ ...app, hostname: "127.0.0.1", port: Number(process.env.BENCH_PORT) });
