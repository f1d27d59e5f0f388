from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from steadyd.cli.restore import spoken
from tests.cli.conftest import Api, Steadyd

MOMENT = {
    "at": "2026-01-01T08:59:58Z", "precision_seconds": 30.0, "version": 3, "point": None,
    "databases": [{"path": "data.sqlite", "at": "2026-01-01T08:59:58Z", "precision_seconds": 30.0}],
    "files_at": "2026-01-01T08:55:00Z",
}  # fmt: skip
RESTORED = {"app": {"name": "shop"}, "restored": MOMENT, "files": 3, "undo": 9}
RESTORE, AIM = "/api/apps/shop/restore", "/api/apps/shop/backups/moment"


def test_which_moment_it_is_is_said_before_anything_happens(api: Api, steadyd: Steadyd) -> None:
    api.answers[f"GET {AIM}?at=point%3A7"] = (200, {"moment": {**MOMENT, "point": 7, "precision_seconds": 0.0}})
    done = steadyd("restore", "shop", "--at", "7", "--dry-run", "--server", api.url)
    assert done.exit_code == 0
    assert "exactly" in done.stderr
    assert "data.sqlite as of" in done.stderr
    assert [asked.method for asked in api.asked] == ["GET"]

    api.answers[f"POST {RESTORE}"] = (201, RESTORED)
    done = steadyd("restore", "shop", "--at", "7", "--server", api.url)
    assert done.exit_code == 0
    assert done.stderr.index("data.sqlite as of") < done.stderr.index("Undo: steadyd restore shop --at 9")
    assert {"point": 7} in [asked.body for asked in api.asked]


def test_a_moment_that_cannot_be_reached_changes_nothing(api: Api, steadyd: Steadyd) -> None:
    error = {"error": {"code": "not_reachable", "message": "Nothing of it is kept yet.", "details": {}}}
    api.answers[f"GET {AIM}?at=before%3Adeploy%3A4"] = (422, error)
    done = steadyd("restore", "shop", "--at", "before:deploy:4", "--server", api.url)
    assert (done.exit_code, "Nothing of it is kept yet." in done.stderr) == (1, True)
    assert [asked.method for asked in api.asked] == ["GET"]


def test_it_prints_json(api: Api, steadyd: Steadyd) -> None:
    api.answers[f"GET {AIM}?at=before%3Adeploy%3A4"] = (200, {"moment": MOMENT})
    api.answers[f"POST {RESTORE}"] = (201, RESTORED)
    done = steadyd("restore", "shop", "--at", "before:deploy:4", "--json", "--server", api.url)
    assert json.loads(done.stdout) == RESTORED
    done = steadyd("restore", "shop", "--at", "before:deploy:4", "--json", "--dry-run", "--server", api.url)
    assert json.loads(done.stdout) == {"moment": MOMENT}


def test_a_time_is_the_users_own_and_is_sent_in_utc() -> None:
    now = datetime(2026, 11, 26, 12, 0, tzinfo=ZoneInfo("UTC"))
    assert spoken("2h ago", now) == "2026-11-26T10:00:00+00:00"
    assert (spoken("7", now), spoken("before:version:12", now)) == ("point:7", "before:deploy:12")


@pytest.mark.parametrize("words", [("restore",), ("restore", "shop"), ("restore", "shop", "--at", "soon")])
def test_wrong_usage(steadyd: Steadyd, words: tuple[str, ...]) -> None:
    assert steadyd(*words).exit_code == 2
