// Loaded by the harness when the first server turns out to be one of node:http.

const NEVER = ["keepAliveTimeout", "headersTimeout", "requestTimeout"];

// node:http closes a kept connection after 5 s, which could meet a request that the proxy has just sent on it.
// The server is not within reach here, but it announces itself in the next tick, before any connection is read.
export function adjust(clientOf: (forwardedFor: unknown) => string): void {
  const prototype = require("node:http").Server.prototype;
  const emit = prototype.emit;
  prototype.emit = function (event: string, ...rest: unknown[]) {
    if (event === "listening") {
      delete prototype.emit;
      if (prototype.emit !== emit) prototype.emit = emit;
      for (const name of NEVER)
        Object.defineProperty(this, name, { get: () => 0, set() {}, configurable: true, enumerable: true });
      this.prependListener("connection", (peer: object) => locate(peer, clientOf("")));
      this.prependListener("request", (request: any) =>
        locate(request.socket, clientOf(request.headers["x-forwarded-for"])),
      );
    }
    return emit.call(this, event, ...rest);
  };
}

// `request.socket.remoteAddress` is where Express and its kin look for the client.
function locate(peer: object, client: string): void {
  Object.defineProperty(peer, "remoteAddress", { value: client, configurable: true, writable: true });
}
