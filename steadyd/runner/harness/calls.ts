// For apps with crons that name an exported function: a second socket, beside the app's, on which the daemon calls it
// (POST), or asks whether it is there (GET). No request from outside gets here.

type Call = { export: string; cron: string; id: string; scheduledTime: number; attempt: number; run: number };

export function answer(serve: typeof Bun.serve, socket: string): void {
  // An app that has nothing else to do still ends.
  serve({ unix: socket, idleTimeout: 0, fetch }).unref();
}

async function fetch(request: Request): Promise<Response> {
  try {
    if (request.method === "POST") return await call((await request.json()) as Call);
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    return new Response(null, { status: (await ownerOf(name)) ? 204 : 404 });
  } catch (error) {
    console.error(error);
    return new Response(String((error as Error)?.message ?? error), { status: 500 });
  }
}

async function call({ export: name, ...event }: Call): Promise<Response> {
  const owner = await ownerOf(name);
  if (!owner) return new Response(`${process.argv[1]} exports no function “${name}”`, { status: 404 });
  const waiting: unknown[] = [];
  const waitUntil = (work: unknown) => void waiting.push(work);
  await owner[name]({ type: "scheduled", ...event, waitUntil }, process.env, { waitUntil });
  for (const work of waiting) await work; // one may add another
  return new Response(null, { status: 204 });
}

// The running module, or its default export: importing what runs already runs nothing again.
async function ownerOf(name: string): Promise<any> {
  const module = await import(Bun.main);
  return [module, module.default].find((holder) => typeof holder?.[name] === "function");
}
