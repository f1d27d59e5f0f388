import { expect, test } from "bun:test";
import { Deciding } from "./deciding";
import { merge } from "./merge";

const begin = () =>
  new Deciding(merge(
    { "a.ts": "1\n2\n3\n", "gone.ts": "1", "logo.png": { base64: "AA==" }, same: "x" },
    { "a.ts": "1\nT\n3\n", "gone.ts": "2", "logo.png": { base64: "AQ==" }, same: "x" },
    { "a.ts": "1\nM\n3\n", "logo.png": { base64: "Ag==" }, same: "x" },
  ));

test("every file is decided once, and then the draft is whole", () => {
  const deciding = begin();
  expect(deciding.open()).toEqual(["a.ts", "gone.ts", "logo.png"]);
  expect([deciding.text("a.ts"), deciding.text("gone.ts")]).toEqual(["1\nM\n3\n", null]);
  expect(deciding.choose("a.ts", "theirs")).toBe("1\nT\n3\n");
  expect([deciding.choose("gone.ts", "mine"), deciding.choose("logo.png", "theirs")]).toEqual([null, null]);
  expect(deciding.open()).toEqual([]);
  expect(deciding.files()).toEqual({ same: "x", "a.ts": "1\nT\n3\n", "logo.png": { base64: "AQ==" } });
});

test("an edit after a decision opens it again, and what stands there is what counts", () => {
  const deciding = begin();
  deciding.choose("a.ts", "mine");
  deciding.edit("a.ts", "1\nM\n3\n");
  expect(deciding.choice("a.ts")).toBe("mine");
  deciding.edit("a.ts", "1\nboth\n3\n");
  expect(deciding.open()).toContain("a.ts");
  deciding.choose("a.ts", "ours");
  deciding.choose("gone.ts", "theirs");
  deciding.choose("logo.png", "mine");
  expect(deciding.files()).toEqual({ same: "x", "a.ts": "1\nboth\n3\n", "gone.ts": "2", "logo.png": { base64: "Ag==" } });
});
