// Loaded by the harness where Bun was started before there was an app for it. It waits inside the preload, so that Bun
// looks at the app's folder only after that was bound: then everything goes on as in a plain start.

const APP = "/app";
const LINE_CHARS_MAX = 128 << 10; // an app's variables, as JSON

export async function wait(status: number): Promise<void> {
  Bun.gc(true); // what starting left behind is never looked at again, and stays with the app: 0.3 MiB
  const channel = Bun.file(status);
  await Bun.write(channel, '{"event":"waiting"}\n');
  const variables = JSON.parse(await line(channel));
  delete process.env.STEADY_ZYGOTE;
  Object.assign(process.env, variables, { PWD: APP });
  process.chdir(APP);
  for (const name of ["spawn", "spawnSync"] as const) Bun[name] = inheriting(Bun[name]);
}

// One line, as it comes. node:fs could wait for it too, and would cost every app half a MiB; so would a first request
// of our own, made to have everything warm: it saves half a millisecond.
async function line(channel: Blob): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of channel.stream()) {
    text += decoder.decode(piece, { stream: true });
    if (text.endsWith("\n")) return text;
    if (text.length > LINE_CHARS_MAX) break;
  }
  process.exit(1); // the daemon has gone
}

// Bun's own default for a child is the environment that Bun was started with.
function inheriting(spawn: any): any {
  return (first: any, options?: any) =>
    Array.isArray(first) ? spawn(first, { env: process.env, ...options }) : spawn({ env: process.env, ...first });
}
