// The draft as TypeScript's language service sees it: files in memory, and what may be asked of them. Knows no worker and
// no page. Paths are the draft's own here ("src/a.ts"); inside they lie below /app, beside the types in /node_modules and
// /library.

import ts from "typescript";
import type { Edit, Finding } from "./assistant";
import { finding, packageOf, UNTYPED_MARK } from "./findings";
import { APP, LIBRARY, readOptions, type Read } from "./options";
import { COMPLETIONS_MAX } from "./protocol";

/** `insert` takes the place of `from` to `to`; `source` is what must be imported for it. */
export interface Completion { label: string; insert: string; kind: string; detail: string; from: number; to: number; boost: number; source?: string; data?: unknown }
export interface Detail { type: string; docs: string; edits: Edit[] }
export interface Hint extends Detail { from: number; to: number }
export interface Signature { before: string; parameter: string; after: string; docs: string }
/** By path. */
export type Edits = Record<string, Edit[]>;
/** Where a name is made. `text` comes along where that is none of the draft's files. */
export interface Place { path: string; line: number; column: number; text?: string }

/** Text of one hint, in characters. */
export const HINT_CHARACTERS_MAX = 4_000;

const SCRIPT = /\.[mc]?[tj]sx?$/;
const DECLARES = /\.d(?:\.\w+)?\.[mc]?ts$/;
const WISHES: ts.UserPreferences = {
  includeCompletionsForModuleExports: true,
  includeCompletionsWithInsertText: true,
  allowRenameOfImportPath: false,
  importModuleSpecifierEnding: "auto",
};

export class Project {
  readonly #files = new Map<string, { text: string; version: number }>();
  readonly #folders = new Map<string, Set<string>>();
  readonly #service: ts.LanguageService;
  #read: Read | null = null;
  #generation = 0;

  /** `library` are the types that every app has, by their whole path. */
  constructor(library: Record<string, string>) {
    for (const [path, text] of Object.entries(library)) this.#put(path, text);
    this.#service = ts.createLanguageService(this.#host(), ts.createDocumentRegistry(true));
  }

  /** A file of the draft as it is now; null takes it away. */
  write(path: string, text: string | null): void {
    this.#put(`${APP}/${path}`, text);
    if (path.endsWith("tsconfig.json")) this.#read = null;
  }

  /** The installed packages' files, by their path below the app; those that were there before go. */
  install(files: Record<string, string>): void {
    for (const path of [...this.#files.keys()]) if (path.startsWith(`${APP}/node_modules/`)) this.#put(path, null);
    for (const [path, text] of Object.entries(files)) this.#put(`${APP}/${path}`, text);
    const typed = new Set(Object.keys(files).filter((path) => DECLARES.test(path)).map(folderOf));
    for (const folder of new Set(Object.keys(files).map(folderOf))) if (!typed.has(folder)) this.#put(`${APP}/${folder}/${UNTYPED_MARK}`, "");
  }

  /** The scripts of the draft. */
  scripts(): string[] {
    return [...this.#files.keys()].filter((path) => own(path) && SCRIPT.test(path)).map(outer).sort();
  }

  /** What is wrong with one file, first by its form. */
  findings(path: string): Finding[] {
    const inner = `${APP}/${path}`;
    const at = (diagnostic: ts.Diagnostic) => finding(diagnostic, path, (file) => this.#has(file));
    if (path === "tsconfig.json") return this.#options().errors.flatMap(at);
    if (!this.#isScript(inner)) return [];
    const form = this.#service.getSyntacticDiagnostics(inner).flatMap(at);
    if (form.length || !/\.[mc]?tsx?$/.test(path) && !this.#options().options.checkJs) return form;
    const sense = this.#service.getSemanticDiagnostics(inner);
    return sense.flatMap((diagnostic) => finding(diagnostic, path, (file) => this.#has(file), sense));
  }

  complete(path: string, at: number): Completion[] {
    const inner = `${APP}/${path}`;
    if (!this.#isScript(inner)) return [];
    const found = this.#service.getCompletionsAtPosition(inner, at, WISHES);
    const start = this.#wordStart(inner, at);
    const span = found?.optionalReplacementSpan;
    const entries = (found?.entries ?? []).filter((entry) => entry.kind !== ts.ScriptElementKind.warning);
    const typed = this.#files.get(inner)!.text.slice(start, at).toLowerCase();
    const fits = entries.filter((entry) => contains(entry.name.toLowerCase(), typed));
    fits.sort((a, b) => (a.sortText < b.sortText ? -1 : a.sortText > b.sortText ? 1 : 0));
    return fits.slice(0, COMPLETIONS_MAX).map((entry) => {
      const place = entry.replacementSpan ?? span;
      return {
        label: entry.name, insert: entry.insertText ?? entry.name, kind: entry.kind, boost: 15 - Number.parseInt(entry.sortText, 10) || 0,
        detail: entry.source ? ts.displayPartsToString(entry.sourceDisplay) || outer(entry.source) : "",
        source: entry.source, data: entry.data,
        from: place?.start ?? start, to: place ? place.start + place.length : at,
      };
    });
  }

  /** More of one completion, and what else it changes (an import). */
  detail(path: string, at: number, { label, source, data }: Pick<Completion, "label" | "source" | "data">): Detail | null {
    const found = this.#service.getCompletionEntryDetails(
      `${APP}/${path}`, at, label, FORMAT, source, WISHES, data as ts.CompletionEntryData | undefined,
    );
    if (!found) return null;
    const changes = found.codeActions?.[0]?.changes.find((change) => change.fileName === `${APP}/${path}`);
    return { ...this.#words(found), edits: (changes?.textChanges ?? []).map(edit) };
  }

  hover(path: string, at: number): Hint | null {
    const inner = `${APP}/${path}`;
    const found = this.#isScript(inner) ? this.#service.getQuickInfoAtPosition(inner, at) : undefined;
    if (!found) return null;
    return { ...this.#words(found), edits: [], from: found.textSpan.start, to: found.textSpan.start + found.textSpan.length };
  }

  /** The call around a place: its parameters, the one that is being written apart. */
  signature(path: string, at: number): Signature | null {
    const inner = `${APP}/${path}`;
    const found = this.#isScript(inner) ? this.#service.getSignatureHelpItems(inner, at, {}) : undefined;
    const item = found?.items[found.selectedItemIndex];
    if (!found || !item) return null;
    const parts = item.parameters.map((parameter) => ts.displayPartsToString(parameter.displayParts));
    const now = Math.min(found.argumentIndex, parts.length - 1);
    const between = ts.displayPartsToString(item.separatorDisplayParts);
    const [head, tail] = [ts.displayPartsToString(item.prefixDisplayParts), ts.displayPartsToString(item.suffixDisplayParts)];
    return {
      before: head + parts.slice(0, Math.max(0, now)).map((part) => part + between).join(""),
      parameter: parts[now] ?? "",
      after: parts.slice(now + 1).map((part) => between + part).join("") + tail,
      docs: ts.displayPartsToString(item.parameters[now]?.documentation ?? item.documentation).slice(0, HINT_CHARACTERS_MAX),
    };
  }

  definition(path: string, at: number): Place | null {
    const inner = `${APP}/${path}`;
    const found = this.#isScript(inner) ? this.#service.getDefinitionAtPosition(inner, at)?.[0] : undefined;
    const text = found && this.#files.get(found.fileName)?.text;
    if (!found || text === undefined) return null;
    const { line, character } = ts.getLineAndCharacterOfPosition({ text } as ts.SourceFileLike, found.textSpan.start);
    const place = { path: outer(found.fileName), line: line + 1, column: character + 1 };
    return own(found.fileName) ? place : { ...place, text };
  }

  /** Every use of the name at a place changed to `name`, by path; or why not. */
  rename(path: string, at: number, name: string): Edits | string {
    const inner = `${APP}/${path}`;
    const may = this.#service.getRenameInfo(inner, at, WISHES);
    if (!may.canRename) return may.localizedErrorMessage;
    const found = this.#service.findRenameLocations(inner, at, false, false, { ...WISHES, providePrefixAndSuffixTextForRename: true }) ?? [];
    const edits: Edits = {};
    for (const { fileName, textSpan, prefixText, suffixText } of found) {
      if (!own(fileName)) return "This name is made outside the app.";
      const insert = `${prefixText ?? ""}${name}${suffixText ?? ""}`;
      (edits[outer(fileName)] ??= []).push({ from: textSpan.start, to: textSpan.start + textSpan.length, insert });
    }
    return edits;
  }

  format(path: string, text: string): Edit[] {
    this.write(path, text);
    return this.#service.getFormattingEditsForDocument(`${APP}/${path}`, FORMAT).map(edit);
  }

  // Private

  #put(path: string, text: string | null): void {
    const known = this.#files.get(path);
    if (known?.text === text) return;
    if (text === null) this.#files.delete(path);
    else this.#files.set(path, { text, version: ++this.#generation });
    this.#generation++;
    if (!known || text === null) this.#list(path, text !== null);
  }

  /** Keep the folders above `path` in step with it. */
  #list(path: string, there: boolean): void {
    for (let child = path; child; ) {
      const parent = child.slice(0, child.lastIndexOf("/"));
      const names = this.#folders.get(parent) ?? new Set<string>();
      if (there) names.add(child);
      else names.delete(child);
      if (names.size) this.#folders.set(parent, names);
      else this.#folders.delete(parent);
      if (!there && names.size) return;
      child = parent;
    }
  }

  #has(path: string): boolean {
    return this.#files.has(path) || this.#folders.has(path);
  }

  #isScript(path: string): boolean {
    return SCRIPT.test(path) && this.#files.has(path);
  }

  #options(): Read {
    const read = { fileExists: (path: string) => this.#files.has(path), readFile: (path: string) => this.#files.get(path)?.text };
    return (this.#read ??= readOptions(this.#files.get(`${APP}/tsconfig.json`)?.text, read));
  }

  #host(): ts.LanguageServiceHost {
    const [files, folders] = [this.#files, this.#folders];
    return {
      getCompilationSettings: () => this.#options().options,
      getProjectVersion: () => String(this.#generation),
      getScriptFileNames: () => this.scripts().map((path) => `${APP}/${path}`),
      getScriptVersion: (path) => String(files.get(path)?.version ?? 0),
      getScriptSnapshot: (path) => {
        const file = files.get(path);
        return file && ts.ScriptSnapshot.fromString(file.text);
      },
      getCurrentDirectory: () => APP,
      getDefaultLibFileName: () => `${LIBRARY}/lib.d.ts`,
      fileExists: (path) => files.has(path),
      readFile: (path) => files.get(path)?.text,
      directoryExists: (path) => folders.has(path),
      getDirectories: (path) => [...(folders.get(path) ?? [])].filter((child) => folders.has(child)).map((child) => child.slice(path.length + 1)),
      readDirectory: (path) => [...files.keys()].filter((file) => file.startsWith(`${path}/`)),
      realpath: (path) => path,
      useCaseSensitiveFileNames: () => true,
      getNewLine: () => "\n",
    };
  }

  #words(found: { displayParts?: ts.SymbolDisplayPart[]; documentation?: ts.SymbolDisplayPart[]; tags?: ts.JSDocTagInfo[] }): Pick<Detail, "type" | "docs"> {
    const tags = (found.tags ?? []).map((tag) => `@${tag.name} ${ts.displayPartsToString(tag.text)}`.trimEnd());
    return {
      type: ts.displayPartsToString(found.displayParts).slice(0, HINT_CHARACTERS_MAX),
      docs: [ts.displayPartsToString(found.documentation), ...tags].filter(Boolean).join("\n").slice(0, HINT_CHARACTERS_MAX),
    };
  }

  #wordStart(path: string, at: number): number {
    return at - /[\w$]*$/.exec(this.#files.get(path)!.text.slice(Math.max(0, at - 100), at))![0].length;
  }
}

const FORMAT: ts.FormatCodeSettings = {
  ...ts.getDefaultFormatCodeSettings("\n"),
  indentSize: 2,
  semicolons: ts.SemicolonPreference.Ignore,
};

/** Whether the letters of `part` stand in `name`, in that order: as CodeMirror matches what is typed. */
function contains(name: string, part: string): boolean {
  let at = 0;
  for (const letter of part) if ((at = name.indexOf(letter, at) + 1) === 0) return false;
  return true;
}

/** The installed package that a file is of: `node_modules/@scope/name`, the outermost. */
function folderOf(path: string): string {
  return `node_modules/${packageOf(path.replace(/^node_modules\//, ""))}`;
}

/** Whether the file is the draft's. */
function own(path: string): boolean {
  return path.startsWith(`${APP}/`) && !path.startsWith(`${APP}/node_modules/`);
}

function outer(path: string): string {
  return path.startsWith(`${APP}/`) ? path.slice(APP.length + 1) : path.replace(/^\//, "");
}

function edit({ span, newText }: ts.TextChange): Edit {
  return { from: span.start, to: span.start + span.length, insert: newText };
}
