// Run in the build sandbox, in a copy of an app's files: makes one file of ENTRY and all that it imports, as bytecode.
//
//   bun --no-install bundle.ts FOLDER ENTRY
//
// Prints {"bundled": true}, or {"declined": WHY} where the bundle could be told apart from the source: then FOLDER is
// worth nothing. {"declined": WHY, "failed": true}: the bundler itself failed. Whoever reads this believes nothing of it
// but that: a macro of the app ran beside it.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { dirname, join } from "node:path";

type Import = { path: string; kind: string; original?: string; external?: boolean };
type Built = { success: boolean; logs: any[]; metafile?: { inputs: Record<string, Input> } };
type Input = { bytes: number; imports: Import[]; format?: "esm" | "cjs" };

const SMALL = 64 << 10; // bytes of source: less starts as fast as it is
const OUTPUTS = ["index.js", "index.js.jsc", "index.js.map"];
const BUILTIN = new Set([...builtinModules, "bun"]);
const SCRIPT = /\.[cm]?[jt]sx?$/;

// What knows where or as what it runs, as it stands in a source. Better too often than once too seldom.
const TELLING = [
  /\bmodule\s*\.\s*(?:id|filename|path|paths|parent|children|loaded|require)\b/,
  /\brequire\s*\.\s*(?:main(?!\s*={2,3}\s*module\b)|cache|resolve|extensions)\b/,
  /\b(?:createRequire|worker_threads|node:cluster)\b|["']cluster["']/,
  /\bBun\s*\.\s*(?:main|resolve|resolveSync|plugin)\b/,
  /\bnew\s+(?:[\w$]+\.)?Worker\b/,
  /(?<![\w$.])eval\s*\(/,
  /\b(?:with|assert)\s*\{\s*type\s*:\s*["'](?:sqlite|file)["']/,
];
const STRICT = /^(?:\s|\/\/[^\n]*\n|\/\*[^]*?\*\/)*["']use strict["']/;

const [folder, entry] = process.argv.slice(2);
let failed = false;
const why = (await declined().catch((error) => `${error}`)) ?? "";
console.log(JSON.stringify(why ? { declined: why, failed } : { bundled: true }));

async function declined(): Promise<string | undefined> {
  if (existsSync("bunfig.toml")) return "bunfig.toml changes how it runs";
  if (existsSync("package.json") && /"sideEffects"/.test(readFileSync("package.json", "utf8")))
    return "package.json names side effects";
  const { success, logs, metafile } = await build();
  failed = !success;
  if (failed) return `${logs.find(({ level }) => level === "error")?.message ?? "it cannot be bundled"}`;
  const more = readdirSync(folder).filter((name) => !OUTPUTS.includes(name));
  if (more.length) return `more than one file: ${more}`;
  const files = Object.entries(metafile!.inputs).filter(([path]) => existsSync(path));
  if (files.reduce((sum, [, { bytes }]) => sum + bytes, 0) < SMALL) return "small";
  const output = readFileSync(join(folder, "index.js"), "utf8");
  for (const [path, input] of files) {
    const reason = resolvedElsewhere(path, input) ?? tells(path, input);
    if (reason) return `${path}: ${reason}`;
  }
  const reason = leftOver(output) ?? renamed(output);
  if (!reason) slim(join(folder, "index.js.map"));
  return reason;
}

// A module's code is strict and a bundle's is not, unless it says so.
async function build(): Promise<Built> {
  const form = { bytecode: true, format: "cjs", sourcemap: "linked", banner: '"use strict";', metafile: true };
  const naming = { entry: "index.[ext]" };
  const options = { entrypoints: [`./${entry}`], target: "bun", outdir: folder, naming, allowUnresolved: [], throw: false };
  return (await Bun.build({ ...form, ...options } as any)) as any;
}

// The bundler reads other fields of a package.json than the runtime.
function resolvedElsewhere(path: string, { imports }: Input): string | undefined {
  const here = join(process.cwd(), path);
  const require = createRequire(here);
  for (const found of imports) {
    if (found.external || !found.original || !existsSync(found.path)) continue;
    const called = found.kind.startsWith("require");
    const meant = called ? require.resolve(found.original) : Bun.resolveSync(found.original, dirname(here));
    if (meant !== join(process.cwd(), found.path)) return `“${found.original}” is another file`;
  }
}

function tells(path: string, { format }: Input): string | undefined {
  if (!SCRIPT.test(path)) return undefined;
  const source = readFileSync(path, "utf8");
  const found = TELLING.map((pattern) => pattern.exec(source)?.[0]).find(Boolean);
  if (found) return `“${found}”`;
  if (format === "cjs" && !STRICT.test(source)) return "not strict";
}

// What the bundler did not make a part of the file, and what only a module may say.
function leftOver(output: string): string | undefined {
  if (/\bimport\.meta\b/.test(output)) return "import.meta is left";
  if (/"Cannot require module "/.test(output)) return "a package is missing";
  for (const [, name] of output.matchAll(/\b(?:require|import)\(["'`]([^"'`]*)["'`]\)/g))
    if (!BUILTIN.has(name) && !/^(?:node|bun):/.test(name)) return `“${name}” is left`;
}

// Of two things of one name, the bundler renames one. In the app's own files that would show.
function renamed(output: string): string | undefined {
  for (const section of output.split(/\n(?=\/\/ [^\n]*\.[cm]?[jt]sx?\n)/)) {
    const path = section.slice(3, section.indexOf("\n"));
    if (path.startsWith("node_modules/") || !existsSync(path)) continue;
    const source = readFileSync(path, "utf8");
    const made = /^(?:(?:async )?function\*? |class |(?:var|let|const) (?=[\w$]+ = (?:async|class|function|\()))([\w$]+)/gm;
    for (const [, name] of section.matchAll(made))
      if (!new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`).test(source)) return `${path}: “${name}”`;
  }
}

// Bun reads a map's sources at each start; without them it reads the files when there is something to show.
function slim(path: string): void {
  const map = JSON.parse(readFileSync(path, "utf8"));
  map.sourcesContent = map.sources.map(() => null);
  writeFileSync(path, JSON.stringify(map));
}
