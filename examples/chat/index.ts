// A chat room: everyone who has the page open sees every message. The last ones are kept in memory only.
const KEPT = 50;
const messages: string[] = [];

const server = Bun.serve({
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response(Bun.file("chat.html"));
  },
  websocket: {
    maxPayloadLength: 4096,
    open(socket) {
      socket.subscribe("room");
      for (const message of messages) socket.send(message);
    },
    message(_socket, message) {
      messages.push(String(message));
      if (messages.length > KEPT) messages.shift();
      server.publish("room", String(message));
    },
  },
});
