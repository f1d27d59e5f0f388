// Run in the build sandbox, in a copy of an app's files, when the bundler failed: which of its complaints would stop the
// app from starting?
//
//   bun --no-install check.ts ENTRY
//
// Prints {"faults": [{message, file, line, column, source_line, specifier}]}. The bundler reads more than a start does:
// files that are only imported later, or never. So a complaint counts only in a file that the entry reaches by static
// imports, and only where Bun's own parser or resolver says the same.

import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join, relative } from "node:path";

type Place = { file: string; line: number; column: number; source_line: string };
type Fault = Place & { message: string; specifier?: string };
type Built = { success: boolean; logs: any[] };

const LISTED_MAX = 10;
const TEXT_CHARS_MAX = 1_000; // a message, a line of source
const BUILDS_MAX = 5; // each leaves out what the one before only missed for later
const LOADERS = { ".ts": "ts", ".mts": "ts", ".cts": "ts", ".tsx": "tsx" } as const; // the rest is "jsx", as Bun loads it
const SCRIPT = /\.[cm]?[jt]sx?$/;

const [entry] = process.argv.slice(2);
console.log(JSON.stringify({ faults: await faultsOf(join(process.cwd(), entry)) }));

async function faultsOf(path: string): Promise<Fault[]> {
  const reached = reachedFrom(path);
  const external: string[] = [];
  for (let builds = 0; builds < BUILDS_MAX; builds++) {
    const { success, logs } = (await Bun.build({ entrypoints: [path], target: "bun", external, throw: false })) as Built;
    const counted = logs.filter(({ level, position }) => level === "error" && reached.has(position?.file)).filter(stops);
    const later = logs.filter(({ importKind }) => /^(dynamic-import|require-)/.test(importKind ?? ""));
    if (success || counted.length || !later.length) return counted.slice(0, LISTED_MAX).map(fault);
    external.push(...later.map(({ specifier }) => specifier)); // it hides what else there is
  }
  return [];
}

function stops({ specifier, importKind, message, position }: any): boolean {
  if (specifier !== undefined) return importKind === "import-statement" && !resolves(specifier, position.file);
  return /^No matching export/.test(message) || !importsOf(position.file);
}

function resolves(specifier: string, file: string): string | undefined {
  try {
    return Bun.resolveSync(specifier, dirname(file));
  } catch {
    return undefined;
  }
}

// What a file imports at its start; nothing if it does not parse.
function importsOf(file: string): string[] | undefined {
  const loader = LOADERS[extname(file) as keyof typeof LOADERS] ?? "jsx";
  try {
    const source = readFileSync(file, "utf8").replace(/^#!/, "//");
    const found = new Bun.Transpiler({ loader }).scanImports(source);
    return found.filter(({ kind }) => kind === "import-statement").map(({ path }) => path);
  } catch {
    return undefined;
  }
}

// The app's own scripts among what runs before the entry does.
function reachedFrom(path: string): Set<string> {
  const reached = new Set([path]);
  for (const file of reached)
    for (const specifier of importsOf(file) ?? []) {
      const found = resolves(specifier, file);
      if (found && SCRIPT.test(found) && !found.includes("/node_modules/") && existsSync(found)) reached.add(found);
    }
  return reached;
}

function fault({ message, position, specifier }: any): Fault {
  const { file, line, column, lineText } = position;
  const cut = (text: unknown) => String(text ?? "").slice(0, TEXT_CHARS_MAX);
  const place = { file: relative(process.cwd(), file), line, column, source_line: cut(lineText) };
  return { message: cut(message), ...place, specifier };
}
