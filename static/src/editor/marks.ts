// Where a deploy or a preview failed: in the gutter, in the line, and said at it. The places move with the text.

import { type Diagnostic, linter } from "@codemirror/lint";
import { type EditorState, type Extension, StateEffect, StateField, type Text, type TransactionSpec } from "@codemirror/state";
import { Decoration, EditorView } from "@codemirror/view";
import type { Problem } from "../lib/desk";

const NOW_MS = 0;

interface Mark { from: number; to: number; message: string }

const put = StateEffect.define<Mark[]>();

const marks = StateField.define<Mark[]>({
  create: () => [],
  update(value, change) {
    let next = value;
    if (change.docChanged && value.length) {
      next = value.map((mark) => ({ ...mark, from: change.changes.mapPos(mark.from, 1), to: change.changes.mapPos(mark.to, -1) }));
    }
    for (const effect of change.effects) if (effect.is(put)) next = effect.value;
    return next;
  },
  provide: (field) =>
    EditorView.decorations.from(field, (found) => {
      const line = Decoration.line({ class: "cm-failedLine" });
      return (view) => Decoration.set(found.map((mark) => line.range(view.state.doc.lineAt(Math.min(mark.from, view.state.doc.length)).from)), true);
    }),
});

/** What an editor needs to be marked. */
export const marking: Extension = [
  marks,
  linter(
    (view) => view.state.field(marks).map(({ from, to, message }): Diagnostic => ({ from, to: Math.max(from, to), severity: "error", message })),
    { delay: NOW_MS, needsRefresh: (update) => update.startState.field(marks) !== update.state.field(marks) },
  ),
];

/** The transaction that marks `problems`, and takes away what was marked before. */
export function markIn(state: EditorState, problems: Problem[]): TransactionSpec {
  return { effects: put.of(problems.map((problem) => placed(state.doc, problem))) };
}

/** The offset of a place, which may be beyond the text's end. Lines and columns count from 1. */
export function offsetOf(doc: Text, line: number, column: number): number {
  const found = doc.line(Math.max(1, Math.min(line, doc.lines)));
  return found.from + Math.max(0, Math.min(column - 1, found.length));
}

// Private

/** From the place to the end of the word there, or the whole line where no column is known. */
function placed(doc: Text, problem: Problem): Mark {
  const from = offsetOf(doc, problem.line, problem.column || 1);
  const rest = doc.sliceString(from, doc.lineAt(from).to);
  const word = problem.column ? (/^(\w+|\s*\S)/.exec(rest)?.[0].length ?? 0) : rest.length;
  return { from, to: from + word, message: problem.message };
}
