import { expect, test } from "bun:test";
import { filled, says } from "./lines";

const LINE = "curl -H 'Authorization: Bearer TOKEN' http://localhost:8080/api/apps/NAME/logs";

test("an app and a token come into their places", () => {
  expect(filled(LINE, "hello", "steady_a.b-c")).toBe(
    "curl -H 'Authorization: Bearer steady_a.b-c' http://localhost:8080/api/apps/hello/logs",
  );
});

test("what a shell would read otherwise stays out", () => {
  expect(filled(LINE, "a'; rm -rf /", "x' -d @/etc/passwd")).toBe(LINE);
  expect(filled(LINE, "", "")).toBe(LINE);
});

test("a search wants every word", () => {
  expect(says("DELETE /api/apps/{name}/crons", "crons delete")).toBe(true);
  expect(says("DELETE /api/apps/{name}/crons", "crons put")).toBe(false);
  expect(says("anything", "")).toBe(true);
});
