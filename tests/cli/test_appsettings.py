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


def test_a_switch_is_true_or_false(api: Api, steadyd: Steadyd) -> None:
    api.answers["PATCH /api/apps/hello/settings"] = (200, {"settings": {"auto_rollback": False}})
    result = steadyd("settings", "hello", "auto_rollback=false", "--server", api.url)
    assert api.asked[0].body == {"auto_rollback": False}
    assert "auto_rollback  false" in result.stdout


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


def test_the_fields_of_a_trial_have_names_of_their_own(api: Api, steadyd: Steadyd) -> None:
    trial = {"network": "auto", "health": False, "mode": "full", "test": True}
    api.answers["PATCH /api/apps/hello/settings"] = (200, {"settings": {"trial": trial}, "sources": {"trial": "owner"}})
    words = ("trial.health=false", "trial.mode=", "trial.network=off", "memory=1GiB")
    lines = [line.split() for line in steadyd("settings", "hello", *words, "--server", api.url).stdout.splitlines()]
    fields = {"health": False, "mode": None, "network": "off"}
    assert api.asked[0].body == {"trial": fields, "memory": "1GiB"}
    assert ["trial.health", "false", "owner"] in lines
    assert ["trial.network", "auto", "owner"] in lines
    steadyd("settings", "hello", "trial=", "--server", api.url)
    assert api.asked[1].body == {"trial": None}
    assert steadyd("settings", "hello", "trial=", "trial.mode=off", "--server", api.url).exit_code == 2
