// The language service as the worker has it, with the types that browsers are sent.

import { expect, setDefaultTimeout, test } from "bun:test";
import { typeFiles } from "../../types";
import { HINT_CHARACTERS_MAX, Project, type Completion } from "./project";
import { COMPLETIONS_MAX } from "./protocol";

// One for all tests: reading seven megabytes of types takes a second, and more beside other work.
setDefaultTimeout(60_000);
const ONLY = new Project(typeFiles());
let before: string[] = [];

/** The project with these files and no others. */
function project(files: Record<string, string>): Project {
  for (const path of [...before, "tsconfig.json", "base.json"]) ONLY.write(path, null);
  before = Object.keys(files);
  ONLY.install({});
  for (const [path, text] of Object.entries(files)) ONLY.write(path, text);
  return ONLY;
}

/** The text without its mark “|”, and where that was. */
function marked(text: string): [text: string, at: number] {
  return [text.replace("|", ""), text.indexOf("|")];
}

const said = (made: Project, path: string) => made.findings(path).map(({ severity, line, message }) => `${severity} ${line}: ${message}`);
const named = (found: Completion[], label: string) => found.find((one) => one.label === label);

test("what Bun runs has types: its globals, bun:sqlite, Node's, the browser's, and files of other kinds", () => {
  const made = project({
    "index.ts": [
      'import { Database } from "bun:sqlite";', 'import { join } from "node:path";', 'import page from "./page.html";',
      'import text from "./note.txt" with { type: "text" };', 'import logo from "./logo.png";', 'import data from "./data.json";',
      "const db = new Database(join(import.meta.dir, data.file));",
      "Bun.serve({ port: 1, routes: { '/': page }, fetch: (request) => new Response(text + logo + request.url + db.filename) });",
      "export const title = () => document.title;",
    ].join("\n"),
    "page.html": "", "note.txt": "", "logo.png": "", "data.json": '{ "file": "x" }',
  });
  expect(said(made, "index.ts")).toEqual([]);
});

test("an error in one file comes from another and goes with it", () => {
  const made = project({ "index.ts": 'import { greet } from "./lib/greet";\ngreet(1);\n', "lib/greet.ts": "export const greet = (name: string) => name;\n" });
  expect(made.scripts()).toEqual(["index.ts", "lib/greet.ts"]);
  expect(said(made, "index.ts")).toEqual(["error 2: Argument of type 'number' is not assignable to parameter of type 'string'."]);
  made.write("lib/greet.ts", "export const greet = (name: number) => name;\n");
  expect(said(made, "index.ts")).toEqual([]);
  made.write("lib/greet.ts", null);
  expect(made.scripts()).toEqual(["index.ts"]);
  expect(said(made, "index.ts")).toEqual(["error 1: Cannot find module './lib/greet' or its corresponding type declarations."]);
});

test("a package that is not installed is no error, nor is what follows from that", () => {
  const made = project({ "index.tsx": 'import { Hono } from "hono";\nconst app = new Hono();\napp.get("/", (c) => c.html(<p>hi</p>));\nexport default app;\n' });
  expect(said(made, "index.tsx")).toEqual(["info 1: “hono” is installed when you deploy.", "info 3: “react” is installed when you deploy."]);
});

test("an installed package has its types, and one without any is any", () => {
  const made = project({
    "index.ts": 'import { one } from "typed";\nimport plain from "plain";\nimport { x } from "typed/none";\none.toFixed(plain.any);\none.nothing;\nplain((a) => a + x);\n',
  });
  made.install({
    "node_modules/typed/package.json": '{ "name": "typed", "exports": { ".": { "types": "./dist/main.d.ts" } } }',
    "node_modules/typed/dist/main.d.ts": "export declare const one: number;",
    "node_modules/plain/package.json": '{ "name": "plain", "main": "index.js" }',
  });
  expect(said(made, "index.ts")).toEqual([
    "error 3: Cannot find module 'typed/none' or its corresponding type declarations.",
    "error 5: Property 'nothing' does not exist on type 'number'.",
  ]);
  made.install({});
  expect(said(made, "index.ts").filter((line) => line.startsWith("error"))).toEqual([]);
});

test("the draft's tsconfig.json counts, and its mistakes are told", () => {
  const files = { "index.ts": 'import { a } from "@/a";\nexport const b = (x) => x + a;\n', "src/a.ts": "export const a = 1;\n" };
  const made = project(files);
  expect(said(made, "index.ts").length).toBe(1);
  made.write("tsconfig.json", '{ "compilerOptions": { "strict": false, "paths": { "@/*": ["./src/*"] } } }');
  expect([said(made, "index.ts"), said(made, "tsconfig.json")]).toEqual([[], []]);
  made.write("tsconfig.json", '{ "compilerOptions": { "strict": maybe } }');
  expect(said(made, "tsconfig.json").length).toBeGreaterThan(0);
  made.write("tsconfig.json", '{ "extends": "./base.json" }');
  made.write("base.json", '{ "compilerOptions": { "noImplicitAny": false } }');
  made.write("tsconfig.json", '{ "extends": "./base.json", "compilerOptions": {} }');
  expect(said(made, "index.ts").filter((line) => line.includes("implicitly"))).toEqual([]);
});

test("JavaScript is told of its form only, unless it asks for more", () => {
  const made = project({ "index.js": "const x = 1; x.nothing;\n", "bad.js": "const x 1;\n" });
  expect([said(made, "index.js").length, said(made, "bad.js").length]).toEqual([0, 1]);
  made.write("tsconfig.json", '{ "compilerOptions": { "checkJs": true } }');
  expect(said(made, "index.js").length).toBe(1);
});

test("completion knows members, and other files' names with the import that they need", () => {
  const [text, at] = marked("Bun.serve({ fetch: (request) => new Response(request.he|) });\n");
  const made = project({ "index.ts": text, "lib/greet.ts": "export const greetEverybody = 1;\n" });
  expect(named(made.complete("index.ts", at), "headers")).toMatchObject({ insert: "headers", from: at - 2, to: at });
  const [other, there] = marked("const x = greetE|;\n");
  made.write("index.ts", other);
  const entry = named(made.complete("index.ts", there), "greetEverybody")!;
  expect(entry).toMatchObject({ detail: "./lib/greet", from: there - 6, to: there });
  const detail = made.detail("index.ts", there, entry)!;
  expect(detail.type).toContain("const greetEverybody: 1");
  expect(detail.edits).toEqual([{ from: 0, to: 0, insert: 'import { greetEverybody } from "./lib/greet";\n\n' }]);
  const all = made.complete("index.ts", 0);
  expect(all.length).toBe(COMPLETIONS_MAX);
});

test("a hint has the type and the docs, and an end", () => {
  const [text, at] = marked("/** Says hello.\n * @param name whose */\nexport function hi(name: string) { return name; }\nh|i('a');\n");
  const made = project({ "index.ts": text });
  expect(made.hover("index.ts", at)).toEqual({
    type: "function hi(name: string): string", docs: "Says hello.\n@param name whose", edits: [], from: at - 1, to: at + 1,
  });
  made.write("long.ts", `/** ${"long ".repeat(HINT_CHARACTERS_MAX)} */\nexport const x = 1;\n`);
  expect(made.hover("long.ts", 5 * HINT_CHARACTERS_MAX + 22)?.docs.length).toBe(HINT_CHARACTERS_MAX);
  expect(made.hover("index.ts", 2)).toBeNull();
});

test("the parameters of a call, with the present one apart", () => {
  const [text, at] = marked("declare function add(a: number, b: string): void;\nadd(1, |");
  const made = project({ "index.ts": text });
  expect(made.signature("index.ts", at)).toEqual({ before: "add(a: number, ", parameter: "b: string", after: "): void", docs: "" });
  expect(made.signature("index.ts", 0)).toBeNull();
});

test("a definition lies in a file of the draft, or in one of the types, which comes along", () => {
  const [text, at] = marked('import { greet } from "./greet";\ngre|et();\nBun.serve;\n');
  const made = project({ "index.ts": text, "greet.ts": "\nexport const greet = () => 1;\n" });
  expect(made.definition("index.ts", at)).toEqual({ path: "greet.ts", line: 2, column: 14 });
  const place = made.definition("index.ts", text.indexOf("serve") + 1)!;
  expect(place.path).toMatch(/^node_modules\/bun-types\/.*\.d\.ts$/);
  expect(place.text!.split("\n")[place.line - 1]).toContain("serve");
});

test("a name is changed wherever it is used, and none of a package's", () => {
  const [text, at] = marked("export const gre|et = 1;\n");
  const made = project({ "greet.ts": text, "index.ts": 'import { greet } from "./greet";\nconsole.log(greet);\nconsole.log("greet");\n' });
  expect(made.rename("greet.ts", at, "hello")).toEqual({
    "greet.ts": [{ from: 13, to: 18, insert: "hello" }],
    "index.ts": [{ from: 9, to: 14, insert: "hello" }, { from: 45, to: 50, insert: "hello" }],
  });
  expect(typeof made.rename("index.ts", 34, "x")).toBe("string");
});

test("formatting changes space only", () => {
  const text = "export const a={b:1,\nc :2}\n";
  const made = project({});
  const edits = made.format("a.ts", text).sort((one, other) => other.from - one.from);
  const done = edits.reduce((now, { from, to, insert }) => now.slice(0, from) + insert + now.slice(to), text);
  expect(done.replace(/\s/g, "")).toBe(text.replace(/\s/g, ""));
  expect(done).toContain("export const a = {");
});
