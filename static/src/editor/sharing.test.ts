import { expect, test } from "bun:test";
import { LINK_CHARACTERS_MAX, linkOf, onlyText } from "./sharing";
import { Workspace } from "./workspace";

test("a link holds the text as it is, up to a length", () => {
  const text = "const a = `100 %`; // ü #\n";
  const link = linkOf("https://steady.example", text)!;
  expect(link.startsWith("https://steady.example/new#code=")).toBe(true);
  expect(decodeURIComponent(link.split("#code=")[1]!)).toBe(text);
  expect(linkOf("https://steady.example", "x".repeat(LINK_CHARACTERS_MAX))).toBeNull();
});

test("a draft of one text has a link, others have none", () => {
  const of = (files: Record<string, string | { base64: string }>) => onlyText({ workspace: new Workspace(0, new Map(Object.entries(files))) });
  expect([of({ "index.ts": "1" }), of({ a: "1", b: "1" }), of({ logo: { base64: "" } }), of({})]).toEqual(["1", null, null, null]);
});
