from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Api, Steadyd

PATH = "/api/apps/shop/backups"
POINT = {
    "id": 7, "at": "2026-01-01T09:00:00Z", "kind": "manual", "by": "ada", "note": "before\u001b[2J", "version": 3,
    "state": "pinned", "problem": "", "files_at": None,
}  # fmt: skip
SPAN = {"from": "2026-01-01T08:00:00Z", "to": "2026-01-01T09:00:00Z", "precision_seconds": 30.0}
DATABASE = {
    "path": "data.sqlite", "lag_seconds": 0.0, "synced_at": "2026-01-01T09:00:00Z", "problem": "", "moments": [SPAN],
}  # fmt: skip
ANSWER = {
    "state": "ok", "message": "Proven restorable 2 hours ago, in 812 ms.", "summary": "1 database: to the second",
    "durability": "host", "target": "a folder of this host", "requests_today": 12, "databases": [DATABASE],
    "files": {"files": 0, "bytes": 0, "at": None, "problem": ""}, "proof": None, "points": [POINT],
}  # fmt: skip


def test_what_is_kept_is_shown(api: Api, steadyd: Steadyd) -> None:
    broken = {**POINT, "id": 8, "state": "broken", "problem": "an object is gone"}
    answer = {**ANSWER, "points": [POINT, broken]}
    api.answers[f"GET {PATH}"] = (200, answer)
    done = steadyd("backups", "shop", "--server", api.url)
    for word in ("ok: Proven restorable", "to the second", "data.sqlite", "30 s", "manual", "broken an object is gone"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    assert json.loads(steadyd("backups", "shop", "--server", api.url, "--json").stdout) == answer


def test_a_restore_point_is_made_with_a_note(api: Api, steadyd: Steadyd) -> None:
    api.answers[f"POST {PATH}"] = (201, {"point": POINT})
    done = steadyd("backups", "shop", "create", "--note", "before the move", "--server", api.url)
    assert done.exit_code == 0
    assert "steadyd restore shop --at 7" in done.stderr
    assert api.asked[-1].body == {"note": "before the move"}


def test_a_drill_says_what_came_of_it(api: Api, steadyd: Steadyd) -> None:
    proof = {"at": "2026-01-01T09:00:00Z", "ok": True, "ms": 812.4, "problem": ""}
    api.answers[f"POST {PATH}/drill"] = (200, {"proof": proof})
    done = steadyd("backups", "shop", "drill", "--server", api.url)
    assert (done.exit_code, "in 812 ms" in done.stderr) == (0, True)
    api.answers[f"POST {PATH}/drill"] = (200, {"proof": {**proof, "ok": False, "problem": "an object is missing"}})
    done = steadyd("backups", "shop", "drill", "--server", api.url)
    assert (done.exit_code, "an object is missing" in done.stderr) == (1, True)


@pytest.mark.parametrize("words", [("backups",), ("backups", "shop", "remove"), ("backups", "shop", "--note", "x")])
def test_wrong_usage(steadyd: Steadyd, words: tuple[str, ...]) -> None:
    assert steadyd(*words).exit_code == 2
