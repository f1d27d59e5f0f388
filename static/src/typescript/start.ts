// The assistant of a page: its worker, what was found, and where it stands.

import type { Extension } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import { isScript, suffix } from "../editor/languages";
import { ofApp } from "../lib/api";
import type { Assistant, Draft, Edit, Finding } from "./assistant";
import { Client, type State } from "./client";
import { formatting, scriptExtension, showFindings, type Means } from "./extension";
import { formatJson } from "./json";
import { Status } from "./status";

/** Start TypeScript for `draft`. `worker` and `library` are addresses of static/dist: worker.js and types.json. */
export function startAssistant(draft: Draft, worker: string, library: string): Assistant {
  const found = new Map<string, Finding[]>();
  const listeners: (() => void)[] = [];
  const views = new Set<EditorView>();
  const status = new Status({ show: draft.show.bind(draft), restart: () => client.start() });
  const tell = () => {
    status.list(found);
    for (const then of listeners) then();
  };
  const client = new Client(
    { make: () => new Worker(worker, { type: "module" }), library },
    {
      files: () => draft.texts(),
      types: () => (draft.app ? `/api${ofApp(draft.app, `/versions/${draft.version()}/types`)}` : ""),
      state: (state: State) => status.say(state),
      trouble: (message) => status.trouble(message),
      found(path, findings) {
        if (!findings.length && !found.has(path)) return;
        if (findings.length) found.set(path, findings);
        else found.delete(path);
        for (const view of views) showFindings(view);
        tell();
      },
    },
  );
  const format = (path: string, text: string): Promise<Edit[] | null> => formatted(client, path, text);
  const means: Means = { client, draft, views, findings: (path) => found.get(path) ?? [], format };
  client.start();
  return {
    extension: (path): Extension => [isScript(path) ? scriptExtension(path, means) : [], formats(path) ? formatting(path, means) : []],
    changed: (path, text) => void client.ask("write", path, text),
    deployed: () => void client.install(),
    format,
    findings: () => found,
    onFindings: (then) => void listeners.push(then),
    status: status.element,
  };
}

// Private

const isJson = (path: string): boolean => ["json", "jsonc"].includes(suffix(path));
const formats = (path: string): boolean => isScript(path) || isJson(path);

async function formatted(client: Client, path: string, text: string): Promise<Edit[] | null> {
  if (isJson(path)) return formatJson(text);
  return isScript(path) ? ((await client.ask("format", path, text)) ?? null) : null;
}
