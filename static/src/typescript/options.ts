// With which options an app's files are read: what Bun does unless the app's tsconfig.json says otherwise.

import ts from "typescript";

/** Where the worker keeps the language's own types, and where the draft. */
export const LIBRARY = "/library";
export const APP = "/app";

/** Bun's recommended options (https://bun.com/docs/typescript), and the browser's types, for what an app sends there. */
export const DEFAULTS: ts.CompilerOptions = {
  lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.dom.asynciterable.d.ts"],
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.Preserve,
  moduleDetection: ts.ModuleDetectionKind.Force,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  jsx: ts.JsxEmit.ReactJSX,
  allowJs: true,
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
  strict: true,
  skipLibCheck: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  types: ["bun"],
  noEmit: true,
  ignoreDeprecations: "6.0",
};

/** What no tsconfig.json changes: nothing is written, and Bun runs it. */
const FIXED: ts.CompilerOptions = { noEmit: true, allowJs: true, allowImportingTsExtensions: true, skipLibCheck: true, ignoreDeprecations: "6.0" };

export interface Read { options: ts.CompilerOptions; errors: readonly ts.Diagnostic[] }

/** The options that the draft's tsconfig.json makes of the defaults. `host` reads the draft, for `extends`. */
export function readOptions(text: string | undefined, host: Pick<ts.ParseConfigHost, "fileExists" | "readFile">): Read {
  if (text === undefined) return { options: DEFAULTS, errors: [] };
  const path = `${APP}/tsconfig.json`;
  const source = ts.parseJsonText(path, text);
  const directory: ts.ParseConfigHost = { ...host, useCaseSensitiveFileNames: true, readDirectory: () => [] };
  const parsed = ts.parseJsonSourceFileConfigFileContent(source, directory, APP, undefined, path);
  const { lib, types, ...said } = parsed.options;
  const options = { ...DEFAULTS, ...said, ...FIXED, types: [...new Set(["bun", ...(types ?? [])])] };
  if (lib) options.lib = lib;
  const errors = [...(source as unknown as { parseDiagnostics: ts.Diagnostic[] }).parseDiagnostics, ...parsed.errors];
  return { options, errors: errors.filter((error) => error.code !== NO_INPUTS && error.code !== EMPTY_FILES) };
}

/** Complaints about which files a tsconfig.json names: all of the draft are read. */
const NO_INPUTS = 18003;
const EMPTY_FILES = 18002;
