"""The curl lines of the API's description."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from steadyd.web.curls import BODIES, curl, sample
from tests.served import Daemon

KEEPING = """
import { Database } from "bun:sqlite";
new Database("data.sqlite").run("CREATE TABLE IF NOT EXISTS t (x)");
export default { fetch: () => new Response("hello") };
"""
WORKS = (
    "show_app list_apps make_deploy roll_back query_database change_env replace_env change_settings start_app stop_app "
    "restart_app list_versions show_version show_file show_settings show_env list_deploys list_databases list_crons "
    "put_cron fork_app rename_app"
).split()
"""Calls whose line is run as it is, but for name and token; in this order."""


def test_a_line_has_what_the_call_needs() -> None:
    shape = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {"$ref": "#/x/Kind"}, "b": {"type": "integer"}},
    }
    call = {
        "operationId": "x", "security": [{"bearer": []}],
        "requestBody": {"content": {"application/json": {"schema": shape}}},
        "parameters": [{"name": name, "in": "query", "required": name == "at"} for name in ("at", "q")],
    }  # fmt: skip
    line = curl("https://h", "post", "/api/apps/{name}/{n}", call, {"Kind": {"enum": ["one", "two"]}})
    assert shlex.split(line) == [
        "curl", "-X", "POST", "-H", "Authorization: Bearer TOKEN", "-H", "Content-Type: application/json",
        "-d", '{"a": "one", "b": 1}', "https://h/api/apps/NAME/1?at=AT",
    ]  # fmt: skip
    bare = curl("https://h", "get", "/healthz", {"operationId": "y", "security": [{}, {"bearer": []}]}, {})
    assert bare == "curl https://h/healthz"


def test_the_least_that_fits() -> None:
    assert sample({"anyOf": [{"type": "string"}, {"type": "null"}]}, {}) == "…"
    assert sample({"type": "array", "items": {}}, {}) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_lines_work_as_they_are(daemon: Daemon) -> None:
    described = daemon.api("GET", "/openapi.json").json()
    calls = {
        call["operationId"]: (method, path, call)
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    }
    assert BODIES.keys() <= calls.keys()
    daemon.create("curled", {"index.ts": KEEPING})
    daemon.ask("curled")
    for name in WORKS:
        line = curl(f"http://localhost:{daemon.port}", *calls[name], described["components"]["schemas"])
        line = line.replace("TOKEN", daemon.token).replace("/NAME", "/curled").replace("/ID", "/tick")
        line = line.replace("NEW-NAME", f"curled-{name.replace('_', '-')}")
        if "Authorization" not in line:
            line += f" -H 'Authorization: Bearer {daemon.token}'"
        words = ["bash", "-c", f"{line} -sS -o /dev/null -w '%{{http_code}}'"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith("2"), (name, line, done.stdout)
