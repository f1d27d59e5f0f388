"""What the apps use now."""

from __future__ import annotations

import json
from typing import Any

from steadyd.cli.top import Look, busiest, row
from tests.cli.conftest import Api, Steadyd


def app(name: str, requests: int = 0, cpu: float = 0.0, memory: int = 0, limit: int = 256 << 20) -> dict[str, Any]:
    usage = {"requests": requests, "cpu_seconds": cpu, "memory_bytes": memory}
    return {"name": name, "owner": "me", "state": "running", "version": 3, "limits": {"memory_bytes": limit}} | {
        "usage": usage
    }


def look(at: float, *apps: dict[str, Any]) -> Look:
    return Look(at, {app["name"]: app for app in apps})


def test_rates_are_what_was_counted_between_two_looks() -> None:
    before = look(10.0, app("idle"), app("busy", requests=100, cpu=1.0))
    now = look(12.0, app("idle"), app("busy", requests=150, cpu=2.0, memory=32 << 20))
    first, second = busiest(before, now)
    assert (first["name"], first["cpus"], first["requests_per_second"]) == ("busy", 0.5, 25.0)
    assert row(first) == ["busy", "me", "running", "3", "32.0 MiB of 256.0 MiB", "50%", "25.0"]
    assert row(second) == ["idle", "me", "running", "3", "", "", ""]


def test_a_count_that_began_anew_and_a_new_app_count_from_nothing() -> None:
    before = look(0.0, app("restarted", requests=1000, cpu=50.0))
    [restarted, new] = busiest(before, look(1.0, app("restarted", requests=1, cpu=0.5), app("new", requests=2)))
    assert (restarted["cpus"], restarted["requests_per_second"]) == (0.5, 1.0)
    assert new["requests_per_second"] == 2.0


def test_an_app_without_a_limit_shows_what_it_uses() -> None:
    [only] = busiest(look(0.0), look(1.0, app("free", memory=1 << 20, limit=0)))
    assert row(only)[4] == "1.0 MiB"


def test_top_prints_once(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps"] = (200, {"apps": [app("hello", memory=32 << 20)]})
    lines = steadyd("top", "--once", "--server", api.url).stdout.splitlines()
    assert lines[0].split() == ["NAME", "OWNER", "STATE", "VERSION", "MEMORY", "CPU", "REQUESTS/S"]
    assert lines[1].split() == "hello me running 3 32.0 MiB of 256.0 MiB".split()
    assert len(api.asked) == 2
    [shown] = json.loads(steadyd("top", "--json", "--server", api.url).stdout)["apps"]
    assert (shown["name"], shown["memory_limit_bytes"], shown["requests_per_second"]) == ("hello", 256 << 20, 0.0)


def test_the_operator_sees_everybodys(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps?all=1"] = (200, {"apps": [app("theirs")]})
    assert "theirs" in steadyd("top", "--once", "--all", "--server", api.url).stdout
