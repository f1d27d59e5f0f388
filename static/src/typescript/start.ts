// The assistant of a page: its worker, what was found, and where it stands.

import type { Extension } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import { isScript, suffix } from "../editor/languages";
import { ofApp } from "../lib/api";
import type { Assistant, Draft, Edit, Finding } from "./assistant";
import { Client, type State } from "./client";
import { scriptExtension, showFindings, type Means } from "./extension";
import { formatJson } from "./json";
import { Sent } from "./sent";
import { Status } from "./status";

/** After the last change, until the worker has it. A question has it at once. */
export const SYNC_MS = 150;

/** Start TypeScript for `draft`. `script` and `library` are addresses of static/dist: worker.js and types.json. */
export function startAssistant(draft: Draft, script: string, library: string): Assistant {
  const found = new Map<string, Finding[]>();
  const listeners: (() => void)[] = [];
  const views = new Map<EditorView, string>();
  const worker = new Sent();
  const status = new Status({ show: draft.show.bind(draft), restart: () => client.start() });
  const tell = () => {
    status.list(found);
    for (const then of listeners) then();
  };
  const show = (changed?: string) => {
    for (const [view, path] of views) if (changed === undefined || changed === path) showFindings(view, found.get(path) ?? []);
    tell();
  };
  /** A worker that is gone knows nothing any more. */
  const forget = () => {
    if (!found.size) return;
    found.clear();
    show();
  };
  const client = new Client(
    { make: () => new Worker(script, { type: "module" }), library },
    {
      files: () => worker.begin(draft.texts()),
      types: () => (draft.app ? `/api${ofApp(draft.app, `/versions/${draft.version()}/types`)}` : ""),
      state(state: State) {
        if (state === "loading" || state === "stopped") forget();
        if (state === "checking") sync(); // what was typed while it loaded
        status.say(state);
      },
      trouble: (message) => status.trouble(message),
      found(path, findings) {
        if (!findings.length && !found.has(path)) return;
        if (findings.length) found.set(path, findings);
        else found.delete(path);
        show(path);
      },
    },
  );
  const sync = () => {
    if (client.state === "loading" || client.state === "stopped") return;
    for (const [path, text] of worker.differs(draft.texts())) void client.ask("write", path, text);
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const means: Means = { client, draft, views, findings: (path) => found.get(path) ?? [], sync };
  client.start();
  return {
    extension: (path): Extension => (isScript(path) ? scriptExtension(path, means) : []),
    changed() {
      clearTimeout(timer);
      timer = setTimeout(sync, SYNC_MS);
    },
    deployed: () => void client.install(),
    format: (path, text) => format(client, path, text),
    findings: () => found,
    onFindings: (then) => void listeners.push(then),
    status: status.element,
  };
}

// Private

async function format(client: Client, path: string, text: string): Promise<Edit[] | null> {
  if (suffix(path) === "json") return formatJson(text);
  return isScript(path) ? ((await client.ask("format", path, text)) ?? null) : null;
}
