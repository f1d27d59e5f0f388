import { expect, test } from "bun:test";
import type { Asked } from "../lib/stream";
import { statuses, timing, wants } from "./asking";

const asked: Asked = {
  id: 1, at: "2026-01-02T03:04:05.000Z", request_id: "r", method: "POST", path: "/things/7", status: 404, error: "", client: "",
  request_bytes: 1, response_bytes: 2, gate_us: 300, app_us: 500, total_us: 1_000, version: 1,
};

test("a status filter is a code, a class, or all that failed", () => {
  expect([statuses("404"), statuses("5xx"), statuses("failed"), statuses("9xx"), statuses("")]).toEqual([[404, 404], [500, 599], [400, 599], null, null]);
});

test("what comes live is filtered as the server filters", () => {
  const yes = [{}, { status: "404" }, { status: "4xx" }, { path: "/7" }, { method: "post" }, { slower_ms: "1" }, { since: "2026-01-01" }];
  const no = [{ status: "200" }, { status: "odd" }, { path: "/8" }, { method: "GET" }, { slower_ms: "1.1" }, { since: "2027-01-01" }, { until: "2027-01-01" }];
  expect(yes.map((filter) => wants(filter, asked))).toEqual(yes.map(() => true));
  expect(no.map((filter) => wants(filter, asked))).toEqual(no.map(() => false));
});

test("the time is split without a rest", () => {
  expect(timing(asked, 100)).toEqual([["gate", 200], ["start", 100], ["app", 500], ["answer", 200]]);
  expect(timing(asked, null)).toEqual([["gate", 300], ["app", 500], ["answer", 200]]);
  expect(timing({ ...asked, gate_us: 0, app_us: 1_000 }, 50)).toEqual([["app", 1_000]]);
});
