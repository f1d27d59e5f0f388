import { expect, test } from "bun:test";
import { type Held, PathError, sizeOf, Workspace } from "./workspace";

const space = () =>
  new Workspace(3, new Map<string, Held>([
    ["index.ts", "one"], ["lib/a.ts", "a"], ["lib/b.ts", "b"], ["logo.png", { from: "logo.png", version: 3, size: 9 }],
  ]));

test("nothing differs at first, and a change taken back is none", () => {
  const files = space();
  expect(files.changes()).toEqual({});
  files.write("index.ts", "two");
  expect([files.dirty(), files.changes()]).toEqual([["index.ts"], { "index.ts": "two" }]);
  files.write("index.ts", "one");
  expect(files.dirty()).toEqual([]);
});

test("new, deleted and moved files are the changes of a merge", () => {
  const files = space();
  files.create("new.ts", "n");
  files.remove("index.ts");
  files.rename("lib/a.ts", "lib/c.ts");
  expect(files.changes()).toEqual({ "index.ts": null, "lib/a.ts": null, "lib/c.ts": "a", "new.ts": "n" });
  files.revert("index.ts");
  files.revert("new.ts");
  expect(files.dirty()).toEqual(["lib/a.ts", "lib/c.ts"]);
});

test("a folder moves whole, or not at all", () => {
  const files = space();
  files.show("lib/a.ts");
  expect([...files.rename("lib", "src/lib")]).toEqual([["lib/a.ts", "src/lib/a.ts"], ["lib/b.ts", "src/lib/b.ts"]]);
  expect([files.open, files.active]).toEqual([["src/lib/a.ts"], "src/lib/a.ts"]);
  files.create("lib/b.ts", "other");
  const before = files.paths();
  expect(() => files.rename("src/lib", "lib")).toThrow(PathError);
  expect(files.paths()).toEqual(before);
  expect(() => files.rename("index.ts", "../x")).toThrow("“..”");
  files.rename("index.ts", "Index.ts");
  expect(files.has("Index.ts")).toBe(true);
});

test("a file of the server's is no change until it is another, and moves only once it is here", () => {
  const files = space();
  expect(sizeOf(files.read("logo.png")!)).toBe(9);
  files.rename("logo.png", "img/logo.png");
  expect(() => files.changes()).toThrow("not loaded");
  files.rename("img/logo.png", "logo.png");
  files.loaded("logo.png", { base64: "AAEC" });
  expect(files.dirty()).toEqual([]);
  files.rename("logo.png", "img/logo.png");
  expect(files.changes()).toEqual({ "logo.png": null, "img/logo.png": { base64: "AAEC" } });
});

test("files from outside are taken but for those with no place", () => {
  const files = space();
  const refused = files.take({ "index.ts": "dropped", "lib": "x", "/etc/x": "x", "ok.md": "# ok" });
  expect(Object.keys(refused)).toEqual(["lib", "/etc/x"]);
  expect(files.changes()).toEqual({ "index.ts": "dropped", "ok.md": "# ok" });
});

test("tabs open beside the one that is shown, close to their neighbour, and move", () => {
  const files = space();
  for (const path of ["index.ts", "lib/a.ts"]) files.show(path);
  files.show("index.ts");
  files.show("lib/b.ts");
  expect(files.open).toEqual(["index.ts", "lib/b.ts", "lib/a.ts"]);
  files.reorder("lib/a.ts", 0);
  expect(files.open).toEqual(["lib/a.ts", "index.ts", "lib/b.ts"]);
  files.close("lib/b.ts");
  expect(files.active).toBe("index.ts");
  files.remove("lib");
  expect([files.open, files.active]).toEqual([["index.ts"], "index.ts"]);
});

test("what was typed during a deploy is still a change after it", () => {
  const files = space();
  files.write("index.ts", "two");
  const sent = files.changes();
  files.write("index.ts", "three");
  files.deployed(4, sent);
  expect([files.version, files.changes()]).toEqual([4, { "index.ts": "three" }]);
});

test("a draft comes back over its version, and over another one", () => {
  const files = space();
  files.write("index.ts", "two");
  files.remove("lib/a.ts");
  files.show("index.ts");
  const again = space();
  again.restore(JSON.parse(JSON.stringify(files.draft())));
  expect([again.changes(), again.active]).toEqual([{ "index.ts": "two", "lib/a.ts": null }, "index.ts"]);
  again.rebase(5, new Map([["index.ts", "theirs"], ["lib/a.ts", "a"]]));
  expect([again.version, again.changes()]).toEqual([5, { "index.ts": "two", "lib/a.ts": null }]);
  again.rebase(6, new Map([["index.ts", "theirs"]]), { "index.ts": "merged" });
  expect(again.changes()).toEqual({ "index.ts": "merged" });
});
