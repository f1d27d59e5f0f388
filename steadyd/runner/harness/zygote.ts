// Loaded by the harness where Bun was started before there was an app for it. It waits inside the preload, so that Bun
// looks at the app's folder only after that was bound: then everything goes on as in a plain start.

const APP = "/app";
const RUNTIME = "/run/steady";
const LINE_BYTES_MAX = 128 << 10; // an app's variables, as JSON

export async function wait(status: number): Promise<void> {
  const { readSync, writeSync } = require("node:fs");
  await warm();
  writeSync(status, '{"event":"waiting"}\n');
  const line = Buffer.alloc(LINE_BYTES_MAX);
  let length = 0;
  while (length === 0 || line[length - 1] !== 10) {
    const read = readSync(status, line, length, LINE_BYTES_MAX - length, null);
    if (read === 0) process.exit(1); // the daemon has gone
    length += read;
  }
  delete process.env.STEADY_ZYGOTE;
  Object.assign(process.env, JSON.parse(line.toString("utf8", 0, length)));
  process.chdir(APP);
  for (const name of ["spawn", "spawnSync"] as const) Bun[name] = inheriting(Bun[name]);
}

// Once through what the first request will need, off its path: a server, a request, an answer, TypeScript.
async function warm(): Promise<void> {
  const unix = `${RUNTIME}/warm`;
  const server = Bun.serve({ unix, fetch: () => new Response("") });
  await (await fetch("http://localhost/", { unix })).text();
  await server.stop(true);
  new Bun.Transpiler({ loader: "ts" }).transformSync("export const warm: number = 1;");
  require("node:fs").rmSync(unix, { force: true });
}

// Bun's own default for a child is the environment that Bun was started with.
function inheriting(spawn: any): any {
  return (first: any, options?: any) =>
    Array.isArray(first) ? spawn(first, { env: process.env, ...options }) : spawn({ env: process.env, ...first });
}
