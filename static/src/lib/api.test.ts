import { expect, test } from "bun:test";
import { ApiError, inPath, ofApp, read } from "./api";

const answer = (status: number, body: string | null) => new Response(body, { status });

test("an answer is its JSON, or nothing", async () => {
  expect(await read<unknown>(answer(200, '{"app": 1}'))).toEqual({ app: 1 });
  expect(await read<unknown>(answer(204, null))).toBeUndefined();
});

test("a refusal has its code, its sentence and its details", async () => {
  const refused = answer(409, '{"error": {"code": "conflict", "message": "No.", "details": {"live": 3}}}');
  const error = await read(refused).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 409, code: "conflict", message: "No.", details: { live: 3 } });
});

test("what is no answer of the API is said so", async () => {
  expect(await read(answer(502, "<h1>Bad Gateway</h1>")).catch((error: unknown) => error)).toMatchObject({ status: 502, code: "unreachable" });
  expect(await read(answer(200, "<h1>Log in</h1>")).catch((error: unknown) => error)).toMatchObject({ code: "unreachable" });
});

test("names and paths are safe in an address", () => {
  expect(ofApp("a b", "/logs")).toBe("/apps/a%20b/logs");
  expect(inPath("lib/a?b#c.ts")).toBe("lib/a%3Fb%23c.ts");
});
