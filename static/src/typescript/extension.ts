// TypeScript in one editor of CodeMirror's: completion, hover, marks, definition, parameters, a new name, formatting.

import { autocompletion, pickedCompletion, type Completion as Option, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { linter, forceLinting, type Diagnostic } from "@codemirror/lint";
import { StateEffect, StateField, type Extension } from "@codemirror/state";
import { EditorView, hoverTooltip, keymap, showTooltip, ViewPlugin, type Tooltip } from "@codemirror/view";
import type { Draft, Finding } from "./assistant";
import type { Client } from "./client";
import type { Completion, Signature } from "./project";
import { hint, signature } from "./hints";
import { COMPLETIONS_MAX } from "./protocol";
import { askName } from "./rename";

export interface Means {
  client: Client;
  draft: Draft;
  findings(path: string): Finding[];
  /** The editors that are there, with the file that each shows. */
  views: Map<EditorView, string>;
  /** Have the worker know the draft as it is now: before each question. */
  sync(): void;
}

/** For the editor of the script at `path`. */
export function scriptExtension(path: string, means: Means): Extension {
  return [
    registering(path, means),
    autocompletion({ override: [completing(path, means)] }),
    hoverTooltip(async (_view, at) => {
      means.sync();
      const found = await means.client.ask("hover", path, at);
      return found ? { pos: found.from, end: found.to, create: () => ({ dom: hint(found) }) } : null;
    }),
    marking,
    parameters(path, means),
    EditorView.domEventHandlers({
      mousedown(event, view) {
        const at = (event.ctrlKey || event.metaKey) && event.button === 0 ? view.posAtCoords(event) : null;
        if (at === null) return false;
        void goTo(path, at, means);
        return true;
      },
    }),
    keymap.of([
      { key: "F12", run: (view) => (void goTo(path, view.state.selection.main.head, means), true) },
      { key: "F2", run: (view) => (askName(view, path, means), true) },
    ]),
  ];
}

// Private

/** Tells of the editor, and has it show what was found before it was there. */
function registering(path: string, { views, findings }: Means): Extension {
  return ViewPlugin.define((view) => {
    views.set(view, path);
    queueMicrotask(() => views.get(view) === path && showFindings(view, findings(path)));
    return { destroy: () => views.delete(view) };
  });
}

function completing(path: string, { client, sync }: Means) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const word = context.matchBefore(/[\w$]+$/);
    if (!context.explicit && !word && !context.matchBefore(/[.@#"'`/<]$/)) return null;
    sync();
    const found = await client.ask("complete", path, context.pos);
    if (!found?.length || context.aborted) return null;
    const options = found.map((entry) => option(entry, path, context.pos, client));
    const from = word?.from ?? context.pos;
    return found.length < COMPLETIONS_MAX ? { from, options, validFor: /^[\w$]*$/ } : { from, options };
  };
}

const KINDS: Record<string, string> = {
  method: "method", function: "function", "local function": "function", class: "class", "local class": "class",
  interface: "interface", type: "type", "type parameter": "type", "primitive type": "type", enum: "enum", "enum member": "constant",
  const: "constant", let: "variable", var: "variable", "local var": "variable", parameter: "variable", alias: "variable",
  property: "property", getter: "property", setter: "property", keyword: "keyword", module: "namespace", string: "text",
};

function option(entry: Completion, path: string, at: number, client: Client): Option {
  return {
    label: entry.label, type: KINDS[entry.kind] ?? "text", detail: entry.detail, boost: entry.boost,
    info: async () => {
      const more = await client.ask("detail", path, at, entry);
      return more ? hint(more) : null;
    },
    apply: (view, picked, from, to) => void apply(view, picked, { entry, path, at, client, from, to }),
  };
}

interface Applied { entry: Completion; path: string; at: number; client: Client; from: number; to: number }

/** Put a completion in, together with the import that it needs. */
async function apply(view: EditorView, picked: Option, { entry, path, at, client, from, to }: Applied): Promise<void> {
  const before = view.state.doc;
  const more = entry.source ? await client.ask("detail", path, at, entry) : null;
  if (!view.state.doc.eq(before)) return;
  const start = Math.min(from, entry.from);
  const insert = { from: start, to, insert: entry.insert };
  const imports = (more?.edits ?? []).filter((edit) => edit.to <= start || edit.from >= to);
  const added = imports.reduce((sum, edit) => (edit.to <= start ? sum + edit.insert.length - (edit.to - edit.from) : sum), 0);
  view.dispatch({
    changes: [...imports, insert], selection: { anchor: start + added + entry.insert.length },
    annotations: pickedCompletion.of(picked), userEvent: "input.complete", scrollIntoView: true,
  });
}

const found = StateEffect.define<Finding[]>();

/** What was found, where it is now: places move with the text until something else is found. */
const marks = StateField.define<Diagnostic[]>({
  create: () => [],
  update(marked, transaction) {
    let now = marked;
    if (transaction.docChanged && now.length) {
      const { changes } = transaction;
      now = now.map((mark) => ({ ...mark, from: changes.mapPos(mark.from, 1), to: changes.mapPos(mark.to, -1) })).filter(({ from, to }) => from <= to);
    }
    for (const effect of transaction.effects) if (effect.is(found)) now = effect.value.map((finding) => diagnostic(finding, transaction.newDoc.length));
    return now;
  },
});

const marking: Extension = [
  marks,
  linter((view) => view.state.field(marks), { delay: 0, needsRefresh: (update) => update.startState.field(marks) !== update.state.field(marks) }),
];

function diagnostic({ from, to, severity, message }: Finding, end: number): Diagnostic {
  return { from: Math.min(from, end), to: Math.min(Math.max(to, from), end), severity, message };
}

/** Have an editor show what was found in its file. */
export function showFindings(view: EditorView, findings: Finding[]): void {
  view.dispatch({ effects: found.of(findings) });
  forceLinting(view);
}

async function goTo(path: string, at: number, { client, draft, sync }: Means): Promise<void> {
  sync();
  const place = await client.ask("definition", path, at);
  if (!place) return;
  if (place.text === undefined) draft.show(place.path, place.line, place.column);
  else draft.showText(place.path, place.text, place.line);
}

const setSignature = StateEffect.define<{ at: number; signature: Signature } | null>();

const signatureField = StateField.define<Tooltip | null>({
  create: () => null,
  update(shown, transaction) {
    for (const effect of transaction.effects) {
      if (!effect.is(setSignature)) continue;
      const value = effect.value;
      return value && { pos: value.at, above: true, create: () => ({ dom: signature(value.signature) }) };
    }
    return shown && transaction.docChanged ? { ...shown, pos: transaction.changes.mapPos(shown.pos) } : shown;
  },
  provide: (field) => showTooltip.from(field),
});

/** The parameters of the call that is being written; Escape takes them away. */
function parameters(path: string, { client, sync }: Means): Extension {
  const ask = async (view: EditorView): Promise<void> => {
    sync();
    const at = view.state.selection.main.head;
    const found = await client.ask("signature", path, at);
    if (view.state.selection.main.head === at) view.dispatch({ effects: setSignature.of(found ? { at, signature: found } : null) });
  };
  const watcher = EditorView.updateListener.of((update) => {
    const { view } = update;
    const head = update.state.selection.main.head;
    const opens = update.docChanged && update.selectionSet && /[(,]\s?$/.test(update.state.sliceDoc(Math.max(0, head - 2), head));
    const typed = update.transactions.some((transaction) => transaction.isUserEvent("input.type"));
    const shown = update.state.field(signatureField) !== null;
    if ((opens && typed) || (shown && (update.docChanged || update.selectionSet))) void Promise.resolve().then(() => ask(view));
  });
  const close = (view: EditorView): boolean => {
    if (!view.state.field(signatureField)) return false;
    view.dispatch({ effects: setSignature.of(null) });
    return true;
  };
  const open = (view: EditorView): boolean => (void ask(view), true);
  return [signatureField, watcher, keymap.of([{ key: "Escape", run: close }, { key: "Mod-Shift-Space", run: open }])];
}
