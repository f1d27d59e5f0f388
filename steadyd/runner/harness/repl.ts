// Run in an app's sandbox, as the app, in its folder: evaluates TypeScript, entry after entry, each in the state that the
// last one left.
//
//   bun --no-install repl.ts        with STEADY_STATUS_FD, a socket of the daemon
//
// Reads {"code"} lines there, one at a time, and answers each with one line: {"event": "value" | "nothing" | "error",
// "text"}, or {"event": "incomplete"} where the entry may go on. What the code prints goes to standard output. Bun's own
// `bun repl` edits lines at a terminal; ours is at the other end of a network, and must not be sent what a terminal obeys.

import "./sqlite.ts";
import { createRequire } from "node:module";
import { join } from "node:path";
import vm from "node:vm";

const TEXT_CHARS_MAX = 128 << 10; // of what one entry shows
const LINE_CHARS_MAX = 256 << 10; // one entry, as JSON
const NAME = "[repl]";
const FILE = join(process.cwd(), NAME); // so that imports begin in the app's folder
const ENDS_EARLY = /end of file|to terminate multi-line comment/;

const channel = Bun.file(Number(process.env.STEADY_STATUS_FD));
delete process.env.STEADY_STATUS_FD;
// Made for Bun, `require` would come from import.meta, which only a module has.
const transpiler = new Bun.Transpiler({ loader: "ts", target: "node", replMode: true } as Bun.TranspilerOptions);
const globals = globalThis as any;
globals.require = createRequire(FILE);
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => console.error("Uncaught, in the background: " + failure(error)));

await say({ event: "ready" });
for await (const { code } of entries()) await say(await evaluate(code));
process.kill(process.pid, "SIGKILL"); // the daemon has gone, or wants no more; see `leave` in guard.ts why not by itself

async function* entries(): AsyncGenerator<{ code: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of channel.stream()) {
    text += decoder.decode(piece as Uint8Array, { stream: true });
    const lines = text.split("\n");
    text = lines.pop()!;
    if (text.length > LINE_CHARS_MAX) return;
    for (const line of lines) yield JSON.parse(line);
  }
}

async function evaluate(code: string): Promise<object> {
  let script: string;
  try {
    script = transpiler.transformSync(code);
  } catch (error: any) {
    return isUnfinished(error, code) ? { event: "incomplete" } : { event: "error", text: mistakes(error) };
  }
  try {
    const options = { filename: FILE, importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER };
    const result = await new vm.Script(script, options).runInThisContext();
    if (!result || result.value === undefined) return { event: "nothing" };
    return { event: "value", text: cut(Bun.inspect(result.value)) };
  } catch (error) {
    return { event: "error", text: cut(failure(error)) };
  }
}

// Whether more lines could make it whole. A quotation that its line does not end is a mistake, but for `.
function isUnfinished(error: any, code: string): boolean {
  const messages: string[] = (error.errors ?? [error]).map((each: any) => String(each.message));
  const inTemplate = messages.some((message) => message.startsWith("Unterminated string")) && code.split("`").length % 2 === 0;
  return inTemplate || messages.some((message) => ENDS_EARLY.test(message));
}

function mistakes(error: any): string {
  const found: any[] = error.errors ?? [error];
  return cut(
    found
      .map(({ message, position }) => {
        if (!position?.lineText) return `SyntaxError: ${message}`;
        return `SyntaxError: ${message}\n${position.lineText}\n${" ".repeat(position.column - 1)}^`;
      })
      .join("\n"),
  );
}

// Without what is ours in the stack.
function failure(error: any): string {
  if (!(error instanceof Error)) return "Uncaught " + Bun.inspect(error);
  const frames = String(error.stack).split("\n").filter((line) => /^\s+at /.test(line));
  const own = frames.filter((line) => line.includes("/") && !line.includes(NAME) && !line.includes(import.meta.dir));
  return [`${error.name}: ${error.message}`, ...own].join("\n");
}

function cut(text: string): string {
  return text.length > TEXT_CHARS_MAX ? text.slice(0, TEXT_CHARS_MAX) + "… (cut)" : text;
}

async function say(message: object): Promise<void> {
  await Bun.write(channel, JSON.stringify(message) + "\n");
}
