// Run in the build sandbox, which has no network: runs `bun install` through the daemon's door.
//
//   bun --no-install install.ts SOCKET CERTIFICATES [WORD…]      WORD: further words of `bun install`
//
// SOCKET and CERTIFICATES: see door.ts. Ends with Bun's exit code. Where a package has no version that fits, the last
// line is {"nearest": […]}: versions that it has, nearest first.

import { openDoor, type Environ } from "./door.ts";

const NEAREST = 5;
const ASK_MS = 10_000;
const NO_VERSION = /No version matching "([^"]*)" found for specifier "([^"]+)"/;
const NO_TAG = /Package "([^"]+)" with tag "([^"]*)" not found/;

const [socket, certificates, ...words] = process.argv.slice(2);

const env = await openDoor(socket, certificates);
const install = Bun.spawn([process.execPath, "install", ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
const said = (await Promise.all([told(install.stdout), told(install.stderr)])).join("\n");
const ended = await install.exited;
if (ended) await tellNearest(said, env);
process.exit(ended);

// What a stream says, passed on as it comes.
async function told(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of stream) {
    process.stdout.write(piece);
    text += decoder.decode(piece, { stream: true });
  }
  return text;
}

async function tellNearest(said: string, env: Environ): Promise<void> {
  const version = NO_VERSION.exec(said);
  const tag = NO_TAG.exec(said);
  const name = version?.[2] ?? tag?.[1];
  if (!name) return;
  const words = [process.execPath, "pm", "view", name, "versions", "--json"];
  const asked = Bun.spawn(words, { env, stdio: ["ignore", "pipe", "ignore"], timeout: ASK_MS });
  try {
    const versions: string[] = await new Response(asked.stdout).json();
    console.log("\n" + JSON.stringify({ nearest: nearest(versions, version?.[1] ?? "") }));
  } catch {} // it is a kindness, and the reason stands without it
}

// Released versions around the wanted one, the newest first where it is no version.
function nearest(versions: string[], wanted: string): string[] {
  const released = versions.filter((version) => !version.includes("-"));
  const sorted = (released.length ? released : versions).sort((a, b) => Bun.semver.order(b, a));
  const digits = /\d+(\.\d+)*/.exec(wanted)?.[0].split(".") ?? [];
  const meant = digits.length ? [...digits, "0", "0"].slice(0, 3).join(".") : "";
  const below = meant ? sorted.findIndex((version) => Bun.semver.order(version, meant) <= 0) : 0;
  const start = below < 0 ? sorted.length - NEAREST : Math.max(0, below - 2);
  return sorted.slice(Math.max(0, Math.min(start, sorted.length - NEAREST)), start + NEAREST);
}
