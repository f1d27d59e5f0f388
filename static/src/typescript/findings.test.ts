import { expect, test } from "bun:test";
import ts from "typescript";
import { finding, MESSAGE_CHARACTERS_MAX, missing, packageOf, UNTYPED_MARK } from "./findings";
import { UNREAD } from "./protocol";

test("a package's name is the first part, or two with a scope", () => {
  expect(["hono", "hono/jsx", "@scope/a/b", "left-pad", "~/x", "#own", "", "./x", "@/x"].map(packageOf)).toEqual(
    ["hono", "hono", "@scope/a", "left-pad", "~", "", "", "", ""],
  );
});

test("what a deploy installs, what Bun can import, and what is a mistake", () => {
  const there = new Set(["/app/src/logo.png", `/app/src/large.ts${UNREAD}`, "/app/node_modules/typed", "/app/node_modules/plain", `/app/node_modules/plain/${UNTYPED_MARK}`]);
  const has = (path: string) => there.has(path);
  const of = (name: string) => missing(name, "src/index.ts", has);
  expect(["hono/jsx", "./logo.png", "./logo.png?url", "../src/logo.png", "./nope", "typed/nope", "plain/any", "@/nope", "./large", "./large.ts", "./larg"].map(of)).toEqual(
    ["hono", null, null, null, "", "", null, "", null, null, ""],
  );
});

test("a message has an end, and lines and columns count from 1", () => {
  const file = ts.createSourceFile("/app/a.ts", "a;\n  b;\n", ts.ScriptTarget.ESNext);
  const diagnostic: ts.Diagnostic = { file, start: 5, length: 1, category: ts.DiagnosticCategory.Error, code: 1, messageText: "x".repeat(5000) };
  const [found] = finding(diagnostic, "a.ts", () => false);
  expect(found).toMatchObject({ path: "a.ts", line: 2, column: 3, from: 5, to: 6, severity: "error" });
  expect(found!.message.length).toBe(MESSAGE_CHARACTERS_MAX);
});
