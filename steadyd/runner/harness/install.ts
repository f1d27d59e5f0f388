// Run in the build sandbox, which has no network: runs `bun install` with a proxy that ends at the daemon's socket.
//
//   bun --no-install install.ts SOCKET CERTIFICATES [WORD…]      WORD: further words of `bun install`
//
// Ends with Bun's exit code. CERTIFICATES is a file of the host's certificate authorities, or "" for none.

import { connect, createServer, type AddressInfo, type Socket } from "node:net";

const [socket, certificates, ...words] = process.argv.slice(2);

const proxy = createServer({ allowHalfOpen: true }, (client) => {
  const daemon = connect({ path: socket, allowHalfOpen: true });
  join(client, daemon);
  join(daemon, client);
});

proxy.listen(0, "127.0.0.1", async () => {
  const { port } = proxy.address() as AddressInfo;
  const env: Record<string, string | undefined> = { ...process.env, HTTPS_PROXY: `http://127.0.0.1:${port}` };
  if (certificates) env.NODE_EXTRA_CA_CERTS = certificates;
  const install = Bun.spawn([process.execPath, "install", ...words], { env, stdio: ["ignore", "inherit", "inherit"] });
  process.exit(await install.exited);
});

function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on("error", () => to.destroy()); // Bun reports what it did not get
}
