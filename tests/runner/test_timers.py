"""The harness tells of timers that a pause would stop, and leaves every timer as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.bun_app import BunApp, write_files

HTTP = 'require("node:http").createServer((_, response) => response.end("ok")).listen(80);'
SLEEP = 'const sleep = require("node:util").promisify(setTimeout);'
SERVES = f"{SLEEP} export default {{ fetch: async () => (await sleep(1), new Response('ok')) }};"
TIMERS = {
    "interval": (f"setInterval(() => {{}}, 5); {SERVES}", True),
    "long time-out": (f"setTimeout(() => {{}}, 20_000); {SERVES}", True),
    "short time-out": (f"setTimeout(() => {{}}, 9_000); {SERVES}", False),
    "node:http's own": (HTTP, False),
    "none": (SERVES, False),
}


@pytest.mark.parametrize(("source", "told"), TIMERS.values(), ids=TIMERS.keys())
def test_a_timer_that_outlives_a_pause_is_told_and_goes_on_as_before(tmp_path: Path, source: str, told: bool) -> None:
    write_files(tmp_path, {"index.ts": source})
    with BunApp(tmp_path, environ={"STEADY_ENV": "production"}) as app:
        app.wait("ready")
        assert app.get().text == "ok"
        assert ("timer" in [event["event"] for event in app.events]) == told
