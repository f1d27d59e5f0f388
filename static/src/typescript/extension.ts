// TypeScript in one editor of CodeMirror's: completion, hover, marks, definition, parameters, a new name, formatting.

import { autocompletion, pickedCompletion, type Completion as Option, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { linter, forceLinting, type Diagnostic } from "@codemirror/lint";
import { StateEffect, StateField, type Extension } from "@codemirror/state";
import { EditorView, hoverTooltip, keymap, showTooltip, ViewPlugin, type Tooltip, type ViewUpdate } from "@codemirror/view";
import type { Draft, Edit, Finding } from "./assistant";
import type { Client } from "./client";
import type { Completion, Signature } from "./project";
import { hint, signature } from "./hints";
import { askName } from "./rename";

/** After the last key, until the worker has the text. A question has it at once. */
export const SYNC_MS = 150;

export interface Means {
  client: Client;
  draft: Draft;
  findings(path: string): Finding[];
  /** The editors that are open, so that they show what is found. */
  views: Set<EditorView>;
  format(path: string, text: string): Promise<Edit[] | null>;
}

/** For the editor of the script at `path`. */
export function scriptExtension(path: string, means: Means): Extension {
  const sync = syncing(path, means);
  const flush = (view: EditorView) => view.plugin(sync)?.flush();
  const definition = (view: EditorView, at: number) => void goTo(path, at, means, () => flush(view));
  return [
    sync,
    autocompletion({ override: [completing(path, means, flush)] }),
    hoverTooltip(async (view, at) => {
      flush(view);
      const found = await means.client.ask("hover", path, at);
      return found ? { pos: found.from, end: found.to, create: () => ({ dom: hint(found) }) } : null;
    }),
    marking(path, means),
    parameters(path, means, flush),
    EditorView.domEventHandlers({
      mousedown(event, view) {
        const at = (event.ctrlKey || event.metaKey) && event.button === 0 ? view.posAtCoords(event) : null;
        if (at === null) return false;
        definition(view, at);
        return true;
      },
    }),
    keymap.of([
      { key: "F12", run: (view) => (definition(view, view.state.selection.main.head), true) },
      { key: "F2", run: (view) => (flush(view), askName(view, path, means), true) },
    ]),
  ];
}

/** Formatting, for scripts and for JSON. */
export function formatting(path: string, means: Means): Extension {
  const run = (view: EditorView): boolean => {
    const text = view.state.doc;
    void means.format(path, text.toString()).then((edits) => {
      if (edits?.length && view.state.doc.eq(text)) view.dispatch({ changes: edits, userEvent: "format" });
    });
    return true;
  };
  return keymap.of([{ key: "Shift-Alt-f", run }]);
}

// Private

/** Keeps the worker's text in step with the editor's. */
function syncing(path: string, { client, views }: Means) {
  return ViewPlugin.fromClass(class {
    private timer: ReturnType<typeof setTimeout> | undefined;
    private late = false;

    constructor(private readonly view: EditorView) {
      views.add(view);
    }

    update(update: ViewUpdate): void {
      if (!update.docChanged) return;
      this.late = true;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.flush(), SYNC_MS);
    }

    flush(): void {
      clearTimeout(this.timer);
      if (this.late) void client.ask("write", path, this.view.state.doc.toString());
      this.late = false;
    }

    destroy(): void {
      this.flush();
      views.delete(this.view);
    }
  });
}

function completing(path: string, { client }: Means, flush: (view: EditorView) => void) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const word = context.matchBefore(/[\w$]+$/);
    if (!context.explicit && !word && !context.matchBefore(/[.@#"'`/<]$/)) return null;
    if (context.view) flush(context.view);
    const found = await client.ask("complete", path, context.pos);
    if (!found?.length || context.aborted) return null;
    const options = found.map((entry) => option(entry, path, context.pos, client));
    return { from: word?.from ?? context.pos, options, validFor: /^[\w$]*$/ };
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

/** What was found in this file, as CodeMirror's marks; asked again when the assistant says so. */
function marking(path: string, { findings }: Means): Extension {
  const source = (view: EditorView): Diagnostic[] => {
    const end = view.state.doc.length;
    return findings(path).map(({ from, to, severity, message }) => ({
      from: Math.min(from, end), to: Math.min(Math.max(to, from), end), severity, message,
    }));
  };
  const again = (update: ViewUpdate) => update.transactions.some((transaction) => transaction.effects.some((effect) => effect.is(found)));
  return linter(source, { delay: SYNC_MS, needsRefresh: again });
}

const found = StateEffect.define<null>();

/** Have an editor show what was found. */
export function showFindings(view: EditorView): void {
  view.dispatch({ effects: found.of(null) });
  forceLinting(view);
}

async function goTo(path: string, at: number, { client, draft }: Means, flush: () => void): Promise<void> {
  flush();
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
function parameters(path: string, { client }: Means, flush: (view: EditorView) => void): Extension {
  const ask = async (view: EditorView): Promise<void> => {
    flush(view);
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
