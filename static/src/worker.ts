// TypeScript beside the page, as a module worker: answers questions about the draft, and looks at its files meanwhile.

import type { Finding } from "./typescript/assistant";
import { Checks } from "./typescript/checks";
import { MESSAGE_CHARACTERS_MAX } from "./typescript/findings";
import { Project } from "./typescript/project";
import type { Answer, Calls, News, Question } from "./typescript/protocol";

const scope = self as unknown as { postMessage(message: Answer | News): void; onmessage: (event: MessageEvent<Question>) => void };
let project: Project | null = null;
let known: string[] = [];

const clock = { after: (then: () => void, ms: number) => ((timer) => () => clearTimeout(timer))(setTimeout(then, ms)) };
const checks = new Checks(clock, check, (checking) => scope.postMessage({ checking }));

function check(path: string): void {
  scope.postMessage({ found: path, findings: findings(path) });
}

/** A file that the compiler itself stumbles over takes nothing from the others. */
function findings(path: string): Finding[] {
  try {
    return begun().findings(path);
  } catch (error) {
    const message = `TypeScript could not look at this file: ${error instanceof Error ? error.message : error}`;
    return [{ path, line: 1, column: 1, from: 0, to: 0, severity: "warning", message: message.slice(0, MESSAGE_CHARACTERS_MAX) }];
  }
}

function begun(): Project {
  if (!project) throw new Error("The types are not here yet.");
  return project;
}

/** Look at all files again, the changed one first, and at those that are gone. */
function changed(first?: string, pause?: number): void {
  const now = [...begun().scripts(), "tsconfig.json"];
  const gone = known.filter((path) => !now.includes(path));
  known = now;
  checks.begin([...(first && now.includes(first) ? [first] : []), ...gone, ...now.filter((path) => path !== first)], pause);
}

async function json<T>(url: string): Promise<T> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}.`);
  return (await answer.json()) as T;
}

const calls: { [Name in keyof Calls]: (...words: Parameters<Calls[Name]>) => ReturnType<Calls[Name]> | Promise<ReturnType<Calls[Name]>> } = {
  async start(library, files) {
    const types = await json<Record<string, string>>(library);
    project = new Project(types);
    for (const [path, text] of Object.entries(files)) project.write(path, text);
    changed(undefined, 0);
    return true;
  },
  write(path, text) {
    begun().write(path, text);
    changed(path);
  },
  async install(url) {
    const types = await json<{ files: Record<string, string>; left_out: string[]; more: number }>(url);
    begun().install(types.files);
    changed(undefined, 0);
    return types.more ? [...types.left_out, `${types.more} more`] : types.left_out;
  },
  complete: (path, at) => begun().complete(path, at),
  detail: (path, at, of) => begun().detail(path, at, of),
  hover: (path, at) => begun().hover(path, at),
  signature: (path, at) => begun().signature(path, at),
  definition: (path, at) => begun().definition(path, at),
  rename: (path, at, name) => begun().rename(path, at, name),
  format: (path, text) => begun().format(path, text),
};

scope.onmessage = async ({ data: { id, call, words } }) => {
  try {
    scope.postMessage({ id, answer: await (calls[call] as (...words: unknown[]) => unknown)(...words) });
  } catch (error) {
    scope.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
};
