// For apps with crons that name an exported function: a second socket, beside the app's, on which the daemon calls it.
// No request from outside gets here. The module is the running one: importing what runs already runs nothing again.

type Call = { export: string; cron: string; id: string; scheduledTime: number; attempt: number; run: number };

export function answer(serve: typeof Bun.serve, socket: string): void {
  // An app that has nothing else to do still ends.
  serve({ unix: socket, idleTimeout: 0, fetch: async (request) => call((await request.json()) as Call) }).unref();
}

async function call({ export: name, ...event }: Call): Promise<Response> {
  try {
    const module = await import(Bun.main);
    const owner = [module, module.default].find((holder) => typeof holder?.[name] === "function");
    if (!owner) return new Response(`${process.argv[1]} exports no function “${name}”`, { status: 404 });
    const waiting: unknown[] = [];
    const waitUntil = (work: unknown) => void waiting.push(work);
    await owner[name]({ type: "scheduled", ...event, waitUntil }, process.env, { waitUntil });
    for (const work of waiting) await work; // one may add another
    return new Response(null, { status: 204 });
  } catch (error) {
    console.error(error);
    return new Response(String((error as Error)?.message ?? error), { status: 500 });
  }
}
