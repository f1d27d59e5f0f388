// The type files that every app has: the language's own, the browser's, Bun's, and those of Node that Bun's build on. What
// is needed is what a program of nothing asks for, so the list is the compiler's.

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import ts from "typescript";
import { DEFAULTS, LIBRARY } from "./src/typescript/options";

const MODULES = `${import.meta.dir}/node_modules`;
const PACKAGES = ["bun-types", "@types/node", "undici-types"];

/** Path as the worker sees it → text. */
export function typeFiles(): Record<string, string> {
  const options = { ...DEFAULTS, types: ["bun-types"] };
  const host = ts.createCompilerHost(options);
  const start = `${import.meta.dir}/start.ts`;
  const read = host.readFile.bind(host);
  host.fileExists = (path) => path === start || ts.sys.fileExists(path);
  host.readFile = (path) => (path === start ? "export {};" : read(path));
  const program = ts.createProgram([start], options, host);
  const libraries = dirname(ts.getDefaultLibFilePath(options));
  const found: Record<string, string> = { "/node_modules/@types/bun/index.d.ts": '/// <reference types="bun-types" />\n' };
  for (const { fileName, text } of program.getSourceFiles()) {
    if (fileName === start) continue;
    if (dirname(fileName) === libraries) found[fileName.replace(libraries, LIBRARY)] = text;
    else if (fileName.startsWith(MODULES)) found[fileName.replace(MODULES, "/node_modules")] = text;
    else throw new Error(`${fileName} is no type file of ours`);
  }
  for (const name of PACKAGES) found[`/node_modules/${name}/package.json`] = readFileSync(`${MODULES}/${name}/package.json`, "utf8");
  return found;
}
