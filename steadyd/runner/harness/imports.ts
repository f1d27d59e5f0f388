// Run in the build sandbox: which packages the given files import. Parses them; resolves and executes nothing.
//
//   bun --no-install imports.ts [FILE…]      without FILE: a JSON array of paths on stdin; paths relative to the folder
//
// Prints {"packages": […], "imports": [{package, specifier, file}], "errors": [{file, line, column, message, source}]}.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { extname, parse } from "node:path";

type Found = { package: string; specifier: string; file: string };
type Failure = { file: string; line?: number; column?: number; message: string; source?: string };

// As Bun loads them: JSX is allowed in .js, and tells nothing in .ts.
const LOADERS = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "jsx",
  ".mjs": "jsx",
  ".cjs": "jsx",
  ".jsx": "jsx",
} as const;
const BUILTIN = new Set([...builtinModules, "bun"]);
const NAME = /^(@[a-z0-9-][a-z0-9._~-]*\/)?[a-z0-9-][a-z0-9._~-]*$/i; // as the registry has them, capitals in old ones

const tsconfig = json("tsconfig.json") ?? json("jsconfig.json") ?? {};
const own = ownNames();
const imports: Found[] = [];
const errors: Failure[] = [];
for (const file of await given()) scan(file);
const packages = [...new Set(imports.map((found) => found.package))].sort();
console.log(JSON.stringify({ packages, imports, errors }));

function scan(file: string): void {
  const loader = LOADERS[extname(file) as keyof typeof LOADERS];
  if (!loader) return;
  try {
    const source = readFileSync(file, "utf8").replace(/^#!/, "//");
    for (const specifier of specifiersOf(source, new Bun.Transpiler({ loader, tsconfig }))) {
      const name = packageOf(specifier);
      if (name) imports.push({ package: name, specifier, file });
    }
  } catch (error) {
    errors.push(failure(error, file));
  }
}

// Where there is JSX, scanImports adds its runtime without reading the pragma, and "react" whatever the runtime is.
function specifiersOf(source: string, transpiler: Bun.Transpiler): Set<string> {
  const runtime = /@jsxImportSource\s+(\S+)/.exec(source)?.[1];
  const found = transpiler.scanImports(source).map(({ path }) => path);
  const meant = found.filter((path) => path !== "react" || /["']react["']/.test(source));
  const added = (path: string) => /\/jsx(-dev)?-runtime$/.test(path);
  return new Set(meant.map((path) => (runtime && added(path) ? `${runtime}/jsx-runtime` : path)));
}

// The package that a specifier names; nothing for paths, URLs, builtins, `#imports` and what the app has itself.
function packageOf(specifier: string): string | undefined {
  if (/^[./#]/.test(specifier) || /^[a-z][a-z0-9+.-]*:/i.test(specifier)) return undefined;
  const [path] = specifier.split(/[?!]/); // `lib?worker` names lib
  const name = path.split("/", path.startsWith("@") ? 2 : 1).join("/");
  if (BUILTIN.has(path) || BUILTIN.has(name) || !NAME.test(name)) return undefined;
  return own.some((pattern) => pattern.test(specifier)) ? undefined : name;
}

// What looks like a package and is the app's own: tsconfig's paths and baseUrl, and the app's name in package.json.
function ownNames(): RegExp[] {
  const { paths = {}, baseUrl } = tsconfig.compilerOptions ?? {};
  const names = Object.keys(paths).filter((name) => name !== "*");
  if (typeof baseUrl === "string" && existsSync(baseUrl))
    for (const entry of readdirSync(baseUrl)) names.push(parse(entry).name, entry + "/*");
  const { name, exports } = json("package.json") ?? {};
  if (typeof name === "string" && exports) names.push(name, name + "/*");
  return names.map((name) => new RegExp("^" + name.split("*").map(escape).join(".*") + "$"));
}

function escape(text: string): string {
  return text.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
}

// A JSON file with comments; nothing if it is absent or wrong, which Bun itself will complain about.
function json(file: string): any {
  try {
    return Bun.JSONC.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function failure(thrown: any, file: string): Failure {
  const error = thrown?.errors?.[0] ?? thrown;
  const { line, column, lineText } = error?.position ?? {};
  return { file, line, column, message: String(error?.message ?? error), source: lineText };
}

async function given(): Promise<string[]> {
  const files = process.argv.slice(2);
  if (files.length) return files;
  try {
    return (await Bun.stdin.json()).map(String);
  } catch (error) {
    console.error(`imports: stdin is not a JSON array of paths: ${error}`);
    process.exit(2);
  }
}
