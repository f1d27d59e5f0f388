// The way out of the build sandbox, which has no network: a proxy that ends at the daemon's socket.

import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export type Environ = Record<string, string | undefined>;

// The environment of a program that goes through it. `certificates` is a file of the host's certificate authorities, or
// "" for none.
export async function openDoor(socket: string, certificates: string): Promise<Environ> {
  const proxy = createServer({ allowHalfOpen: true }, (client) => {
    const daemon = connect({ path: socket, allowHalfOpen: true });
    join(client, daemon);
    join(daemon, client);
  });
  await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
  const { port } = proxy.address() as AddressInfo;
  const env: Environ = { ...process.env, HTTPS_PROXY: `http://127.0.0.1:${port}` };
  if (certificates) env.NODE_EXTRA_CA_CERTS = certificates;
  return env;
}

function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on("error", () => to.destroy()); // the program reports what it did not get
}
