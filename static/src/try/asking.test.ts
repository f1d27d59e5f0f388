import { expect, test } from "bun:test";
import { type Asking, REMEMBERED_CHARACTERS_MAX, REMEMBERED_MAX, curl, headersOf, remembered, remembering, wirePath } from "./asking";

const GET: Asking = { method: "GET", path: "/", headers: {}, body: "", preview: false };

test("a path is written as a browser would", () => {
  expect(["", "a b", "/é?q=ü x", "//x/../y", "/a#b", "/%20"].map(wirePath)).toEqual(["/", "/a%20b", "/%C3%A9?q=%C3%BC%20x", "/y", "/a%23b", "/%20"]);
});

test("curl asks the same, whatever is in it", async () => {
  expect(curl("http://a.localhost", GET)).toBe("curl -i http://a.localhost/");
  const asking = { ...GET, method: "POST", path: "/a?b=$(id)&c='", headers: { "X-A": "it's `x`" }, body: "l1\nl2 $HOME '" };
  const line = curl("http://a.localhost", asking).replace(/^curl/, "printf '%s\\0'");
  const { stdout } = Bun.spawnSync(["sh", "-c", line]);
  const said = stdout.toString().split("\0").slice(0, -1);
  expect(said).toEqual(["-i", "-X", "POST", "-H", "X-A: it's `x`", "--data-raw", asking.body, `http://a.localhost${wirePath(asking.path)}`]);
  expect(curl("http://a", { ...GET, method: "HEAD", body: "x" })).toBe("curl -i -I http://a/");
});

test("rows without a name are no headers", () => {
  expect(headersOf([[" A ", " b "], ["", "x"], ["C", ""]])).toEqual({ A: "b", C: "" });
});

test("so many are remembered, each once, none too large", () => {
  let kept: Asking[] = [];
  for (let at = 0; at < REMEMBERED_MAX + 5; at++) kept = remembering(kept, { ...GET, path: `/${at}` });
  kept = remembering(kept, { ...GET, path: "/9" });
  expect(kept.length).toBe(REMEMBERED_MAX);
  expect(kept.slice(0, 2).map((one) => one.path)).toEqual(["/9", "/24"]);
  expect(remembering(kept, { ...GET, body: "x".repeat(REMEMBERED_CHARACTERS_MAX) })).toBe(kept);
  expect(remembered(JSON.stringify(kept))).toEqual(kept);
  for (const odd of [null, "", "{", "{}", "[1, null, {}]", JSON.stringify([{ ...GET, method: "EVAL" }, { ...GET, headers: { a: 1 } }])]) {
    expect(remembered(odd)).toEqual([]);
  }
});
