"""The command `settings`."""

from __future__ import annotations

import json

from tests.cli.conftest import Api, Steadyd

ANSWER = {
    "settings": {"memory": 512 << 20, "cpus": 0.5, "processes": 64, "disk": 0, "idle": "never", "network": "none"},
    "sources": {"memory": "owner", "cpus": "version", "processes": "host", "disk": "host", "idle": "host"},
    "ceilings": {"memory": 1 << 30, "cpus": 2.0, "processes": 0},
}


def test_it_shows_them_with_who_said_so(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello/settings"] = (200, ANSWER)
    lines = [line.split() for line in steadyd("settings", "hello", "--server", api.url).stdout.splitlines()]
    assert lines == [
        ["SETTING", "VALUE", "SAID", "BY", "AT", "MOST"],
        ["memory", "512MiB", "owner", "1GiB"],
        ["cpus", "0.5", "version", "2"],
        ["processes", "64", "host"],
        ["disk", "no", "limit", "host"],
        ["idle", "never", "host"],
        ["network", "none"],
    ]
    assert json.loads(steadyd("settings", "hello", "--server", api.url, "--json").stdout) == ANSWER


def test_it_changes_and_takes_back(api: Api, steadyd: Steadyd) -> None:
    api.answers["PATCH /api/apps/hello/settings"] = (200, {"settings": {"idle": 900.0}})
    result = steadyd("settings", "hello", "memory=512MiB", "idle=", "--server", api.url)
    assert api.asked[0].body == {"memory": "512MiB", "idle": None}
    assert "idle     15min" in result.stdout


def test_what_is_no_change_is_a_usage_error(api: Api, steadyd: Steadyd) -> None:
    for words in (["memory"], ["=1"]):
        result = steadyd("settings", "hello", *words, "--server", api.url)
        assert (result.exit_code, api.asked) == (2, [])
        assert "is not KEY=VALUE" in result.stderr


def test_the_servers_refusal_is_one_line(api: Api, steadyd: Steadyd) -> None:
    error = {"code": "invalid", "message": "“memory”: 9GiB is more than an app on this host may have.", "details": {}}
    api.answers["PATCH /api/apps/hello/settings"] = (422, {"error": error})
    result = steadyd("settings", "hello", "memory=9GiB", "--server", api.url)
    assert (result.exit_code, result.stderr) == (1, f"steadyd: {error['message']}\n")
