import { expect, test } from "bun:test";
import { Client, RESTARTS_MAX, SILENCE_SECONDS_MAX, type State, type Works } from "./client";
import type { Answer, News, Question } from "./protocol";

type Script = (question: Question, say: (message: Answer | News) => void) => void;

/** A client over workers that follow `script`, with what it heard. */
function stage(script: Script, types = "") {
  const seen = { made: 0, ended: 0, states: [] as State[], troubles: [] as string[], found: [] as string[] };
  const works: Works = {
    library: "/types", silenceMs: 20,
    make() {
      seen.made++;
      const worker: ReturnType<Works["make"]> = {
        onmessage: null, onerror: null,
        postMessage: (question: Question) => script(question, (data) => worker.onmessage?.call(worker as Worker, { data } as MessageEvent)),
        terminate: () => seen.ended++,
      };
      return worker;
    },
  };
  const client = new Client(works, {
    files: () => ({ "a.ts": "" }), types: () => types, state: (state) => seen.states.push(state),
    trouble: (message) => seen.troubles.push(message), found: (path) => seen.found.push(path),
  });
  return { client, seen };
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("the condition did not come true in time");
    await Bun.sleep(2);
  }
}

const well: Script = ({ id, call }, say) => queueMicrotask(() => {
  say({ id, answer: call === "start" ? true : null });
  if (call === "start") [{ checking: true }, { found: "a.ts", findings: [] }, { checking: false }].forEach((news) => say(news));
});

test("it loads, looks at the files, and is ready for questions", async () => {
  const { client, seen } = stage(well);
  client.start();
  expect(await client.ask("hover", "a.ts", 0)).toBeUndefined();
  await until(() => client.state === "ready");
  expect(seen.states).toEqual(["loading", "checking", "ready"]);
  expect(seen.found).toEqual(["a.ts"]);
  expect(await client.ask("hover", "a.ts", 0)).toBeNull();
});

test("a worker that hangs is ended, the question has no answer, and there is a new one, so many times", async () => {
  expect([SILENCE_SECONDS_MAX, RESTARTS_MAX]).toEqual([20, 3]);
  const { client, seen } = stage((question, say) => (question.call === "start" ? say({ id: question.id, answer: true }) : undefined));
  client.start();
  await until(() => seen.made === 1 + RESTARTS_MAX && client.state === "stopped");
  expect(seen.ended).toBe(seen.made);
  client.start();
  expect(seen.made).toBe(2 + RESTARTS_MAX);
  client.stop();
});

test("where the types do not come, it stops and says why", async () => {
  const { client, seen } = stage(({ id }, say) => say({ id, error: "/types answered 503." }));
  client.start();
  await until(() => client.state === "stopped");
  expect([seen.made, seen.troubles]).toEqual([1, ["/types answered 503."]]);
});

test("packages whose types are too large are named", async () => {
  const { client, seen } = stage(({ id, call }, say) => queueMicrotask(() => {
    say({ id, answer: call === "install" ? ["huge", "3 more"] : true });
    say({ checking: false });
  }), "/api/types");
  client.start();
  await until(() => seen.troubles.length > 1);
  expect(seen.troubles).toEqual(["", "Too large to be known here, and so any: huge, 3 more."]);
});
