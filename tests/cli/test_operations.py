"""What was done, as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any

from steadyd.cli.operations import row
from tests.cli.conftest import Api, Steadyd

DONE: dict[str, Any] = {
    "id": 7, "app": "hello", "kind": "deploy", "by": "operator", "status": "done", "step": "switch",
    "steps": [{"name": "trial", "ms": 41.2, "ok": True}, {"name": "switch", "ms": 9.0, "ok": True}],
    "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z", "ms": 63.4, "error": None,
}  # fmt: skip


def test_the_operations_of_an_app(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/operations?limit=20"] = (200, {"operations": [DONE]})
    lines = steadyd("operations", "hello", "--server", api.url).stdout.splitlines()
    assert lines[0].split() == ["ID", "APP", "OPERATION", "BY", "BEGAN", "OUTCOME", "MS", "STEPS"]
    assert lines[1].endswith("trial 41 · switch 9")
    answer = steadyd("operations", "hello", "--server", api.url, "--json").stdout
    assert json.loads(answer) == {"operations": [DONE]}


def test_without_a_name_they_are_one_s_own(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/operations?limit=5"] = (200, {"operations": []})
    result = steadyd("operations", "--limit", "5", "--server", api.url)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Nothing was done yet.\n")


def test_what_failed_says_why_and_what_runs_says_where_it_is() -> None:
    failed = DONE | {"status": "failed", "error": {"code": "deploy_failed", "message": "It exited."}}
    assert row(failed)[-1] == "It exited."
    assert row(DONE | {"status": "running", "step": "trial", "ms": None})[-2:] == ["", "trial …"]


def test_cancel(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/operations/7/cancel"] = (200, {"operation": DONE})
    assert "nothing was changed" in steadyd("operations", "--cancel", "7", "--server", api.url).stderr
    too_late = {"error": {"code": "conflict", "message": "Operation 8 has ended already: done.", "details": {}}}
    api.answers["POST /api/operations/8/cancel"] = (409, too_late)
    result = steadyd("operations", "--cancel", "8", "--server", api.url)
    assert (result.exit_code, "ended already" in result.stderr) == (1, True)
