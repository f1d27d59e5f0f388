from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Api, Steadyd

RUN = {
    "id": 7, "cron": "tick", "scheduled_at": "2026-01-01T09:00:00Z", "outcome": "ok", "attempt": 1, "by_hand": False,
    "started_at": "2026-01-01T09:00:00Z", "finished_at": "2026-01-01T09:00:01Z", "version": 3, "status": 200,
    "ms": 12.4, "count": 1, "error": "",
}  # fmt: skip
CRON = {
    "id": "tick", "schedule": "0 9 * * *", "timezone": "Europe/Berlin", "path": "/tick", "export": "", "method": "POST",
    "source": "file", "enabled": True, "next": ["2026-01-02T08:00:00Z"], "runs": [RUN],
}  # fmt: skip
LINE = {"at": "2026-01-01T09:00:00Z", "version": 3, "source": "app", "text": "done\u001b[2J"}
PATH = "/api/apps/shop/crons"


def test_they_are_listed(api: Api, steadyd: Steadyd) -> None:
    off = {**CRON, "id": "tidy", "path": "", "export": "tidy", "enabled": False, "timezone": "UTC", "runs": []}
    api.answers[f"GET {PATH}"] = (200, {"crons": [CRON, off]})
    said = steadyd("crons", "shop", "--server", api.url).stdout
    for word in ("0 9 * * * Europe/Berlin", "POST /tick", "2026-01-02", "ok 2026-01-01", "tidy()", "off"):
        assert word in said
    assert json.loads(steadyd("crons", "shop", "--server", api.url, "--json").stdout) == {"crons": [CRON, off]}
    api.answers[f"GET {PATH}"] = (200, {"crons": []})
    assert "shop has no crons" in steadyd("crons", "shop", "--server", api.url).stderr


def test_one_is_run_and_what_it_said_is_shown(api: Api, steadyd: Steadyd) -> None:
    api.answers[f"POST {PATH}/tick/run"] = (200, {"run": {**RUN, "by_hand": True}, "logs": [LINE]})
    done = steadyd("crons", "shop", "run", "tick", "--server", api.url)
    assert done.exit_code == 0
    for word in ("by hand", "v3", "12 ms", "2026-01-01T09:00:00Z done"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    failed = {**RUN, "outcome": "failed", "error": "It answered 500."}
    api.answers[f"POST {PATH}/tick/run"] = (200, {"run": failed, "logs": []})
    done = steadyd("crons", "shop", "run", "tick", "--server", api.url)
    assert (done.exit_code, "“tick” failed: It answered 500." in done.stderr) == (1, True)


def test_runs_are_listed_and_one_is_shown(api: Api, steadyd: Steadyd) -> None:
    missed = {**RUN, "outcome": "missed", "count": 12, "version": 0}
    api.answers[f"GET {PATH}/tick/runs"] = (200, {"runs": [RUN, missed]})
    assert "missed ×12" in steadyd("crons", "shop", "runs", "tick", "--server", api.url).stdout
    api.answers[f"GET {PATH}/tick/runs/7"] = (200, {"run": RUN, "logs": [LINE]})
    assert "done" in steadyd("crons", "shop", "runs", "tick", "7", "--server", api.url).stdout


def test_one_is_made_turned_off_and_deleted(api: Api, steadyd: Steadyd) -> None:
    api.answers[f"PUT {PATH}/tick"] = (200, {"cron": CRON})
    api.answers[f"DELETE {PATH}/tick"] = (204, None)
    words = ("set", "tick", "@daily", "--path", "/tick", "--timezone", "UTC", "--method", "GET")
    for said in (words, ("off", "tick"), ("on", "tick"), ("delete", "tick")):
        assert steadyd("crons", "shop", *said, "--server", api.url).exit_code == 0
    assert [asked.body for asked in api.asked][:3] == [
        {"schedule": "@daily", "path": "/tick", "timezone": "UTC", "method": "GET"},
        {"enabled": False},
        {"enabled": True},
    ]
    assert api.asked[3].method == "DELETE"


@pytest.mark.parametrize(
    "words", [("run",), ("set", "tick"), ("list", "tick"), ("off", "a", "b"), ("run", "a", "--path", "/"), ("jump",)]
)
def test_wrong_usage(steadyd: Steadyd, words: tuple[str, ...]) -> None:
    assert steadyd("crons", "shop", *words).exit_code == 2
