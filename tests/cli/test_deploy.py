"""`steadyd deploy` against a server that answers as told."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from steadyd.cli.deploy import LEFT_OUT_SHOWN, encode, query_of
from tests import test_appfile as sample
from tests.cli.conftest import Api, Steadyd

LIVE = {
    "app": {"name": "hello", "url": "http://hello.localhost:8080", "version": 3},
    "deploy": {"version": 3, "steps": [{"name": "check", "ms": 2.0, "ok": True}, {"name": "start", "ms": 31.5}]},
    "notes": ["hono 4.9.2"],
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "index.ts").write_text("export default 1")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    (folder / ".env").write_text("SECRET=1")
    return folder


def test_the_url_alone_is_on_stdout(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    result = steadyd("deploy", str(app), "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "http://hello.localhost:8080\n")
    for said in ("2 files", ".env (may hold secrets)", "check", "32 ms", "hono 4.9.2", "Version 3 is live after 34 ms"):
        assert said in result.stderr
    files = {"index.ts": "export default 1", "logo.png": {"base64": "iVBORw=="}}
    assert api.asked[0].body == {"files": files, "source": "folder"}


def test_options_reach_the_server(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/other"] = (201, LIVE)
    words = ("deploy", str(app), "--name", "other", "--temporary", "--no-trial", "-m", "Less", "--server", api.url)
    assert steadyd(*words).exit_code == 0
    body = api.asked[0].body
    assert (body["temporary"], body["trial"], body["message"]) == (True, False, "Less")


def test_what_a_trial_asked_for_is_named(app: Path, api: Api, steadyd: Steadyd) -> None:
    trial = {"name": "trial", "ms": 9.0, "ok": True, "hosts": ["db.example.com", "10.0.0.5:5432"]}
    api.answers["PUT /api/apps/hello"] = (201, LIVE | {"deploy": {"version": 3, "steps": [trial]}})
    said = steadyd("deploy", str(app), "--server", api.url).stderr
    assert "asked for, and not reached by the trial: db.example.com, 10.0.0.5:5432" in said


def test_the_apps_own_tests_can_be_asked_for(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    assert steadyd("deploy", str(app), "--test", "--server", api.url).exit_code == 0
    assert api.asked[0].body["test"] is True
    assert steadyd("deploy", str(app), "--test", "--no-trial", "--server", api.url).exit_code == 2


def test_a_rehearsal_can_be_asked_for(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    assert steadyd("deploy", str(app), "--rehearse", "20", "--strict", "--server", api.url).exit_code == 0
    assert (api.asked[0].body["rehearse"], api.asked[0].body["strict"]) == (20, True)
    assert steadyd("deploy", str(app), "--strict", "--server", api.url).exit_code == 2


def test_a_guests_token_is_kept_for_the_next_command(home: Path, app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE | {"token": "guest"})
    api.answers["POST /api/apps/hello/stop"] = (200, {"app": {"name": "hello", "state": "stopped"}})
    assert steadyd("deploy", str(app), "--server", api.url).exit_code == 0
    assert steadyd("stop", "hello", "--server", api.url).stdout == "hello is stopped\n"
    assert [a.authorization for a in api.asked] == ["", "Bearer guest"]
    assert "guest" in (home / "config" / "steadyd" / "tokens.json").read_text()


def test_json_is_the_answer_and_what_was_left_out(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    answer = json.loads(steadyd("deploy", str(app), "--server", api.url, "--json").stdout)
    assert answer["app"] == LIVE["app"]
    assert answer["left_out"] == [{"path": ".env", "reason": "may hold secrets"}]


def test_a_failed_deploy_shows_log_and_place_then_the_reason_last(app: Path, api: Api, steadyd: Steadyd) -> None:
    details = {"step": "start", "file": "index.ts", "line": 3, "column": 5, "logs": ["boom \x1b[31m"]}
    error = {"code": "deploy_failed", "message": "The app did not start.", "details": details}
    api.answers["PUT /api/apps/hello"] = (422, {"error": error})
    result = steadyd("deploy", str(app), "--server", api.url)
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[-3:] == ["  | boom \\x1b[31m", "  at index.ts:3:5", "steadyd: The app did not start."]


def test_a_first_deploy_that_fails_shows_its_steps(app: Path, api: Api, steadyd: Steadyd) -> None:
    """Its app was never there to be followed."""
    error = {"code": "deploy_failed", "message": "No.", "details": {"step": "trial", "logs": []}}
    steps = [{"name": "check", "ms": 2.0, "ok": True}, {"name": "trial", "ms": 31.5, "ok": False}]
    api.answers["PUT /api/apps/hello"] = (422, {"error": error})
    api.answers["GET /api/operations?limit=1"] = (200, {"operations": [{"app": "hello", "steps": steps}]})
    said = steadyd("deploy", str(app), "--server", api.url).stderr
    assert [line.split()[0] for line in said.splitlines()[-3:]] == ["check", "trial", "steadyd:"]
    assert "32 ms  failed" in said


def test_a_mistake_is_shown_in_its_line(app: Path, api: Api, steadyd: Steadyd) -> None:
    place = {"file": "index.ts", "line": 2, "column": 13, "source_line": "const b = (2;"}
    error = {"code": "deploy_failed", "message": "No.", "details": {"step": "check", "logs": [], **place}}
    api.answers["PUT /api/apps/hello"] = (422, {"error": error})
    lines = steadyd("deploy", str(app), "--server", api.url).stderr.splitlines()
    assert lines[-4:] == ["  at index.ts:2:13", "    const b = (2;", "                ^", "steadyd: No."]


def test_wrong_names_and_folders_never_reach_the_server(app: Path, tmp_path: Path, api: Api, steadyd: Steadyd) -> None:
    assert steadyd("deploy", str(app), "--name", "No", "--server", api.url).exit_code == 1
    assert steadyd("deploy", str(tmp_path / "none"), "--server", api.url).exit_code == 2
    assert steadyd("deploy", str(tmp_path), "--server", api.url).exit_code == 1
    assert api.asked == []


def test_databases_stay_unless_they_are_asked_for(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    with contextlib.closing(sqlite3.connect(app / "data.sqlite")) as database:
        database.execute("CREATE TABLE t (a)")
    assert "left out  data.sqlite" in steadyd("deploy", str(app), "--server", api.url).stderr
    said = steadyd("deploy", str(app), "--with-data", "--server", api.url).stderr
    assert "with data data.sqlite" in said
    assert "left out  data.sqlite" not in said
    assert [("data.sqlite" in asked.body["files"]) for asked in api.asked] == [False, True]


def test_a_long_list_of_leavings_is_cut(app: Path, api: Api, steadyd: Steadyd) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    for number in range(LEFT_OUT_SHOWN + 5):
        (app / f".env.{number:02}").touch()
    assert "6 more" in steadyd("deploy", str(app), "--server", api.url).stderr


def test_variables_go_along_or_are_offered(
    app: Path, api: Api, steadyd: Steadyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    offered = steadyd("deploy", str(app), "--name", "hello", "--server", api.url)
    assert f"--env-file {app}/.env, or later: steadyd env hello import {app}/.env" in offered.stderr
    assert "env" not in api.asked.pop().body
    given = steadyd("deploy", str(app), "--name", "hello", "--env-file", f"{app}/.env", "--server", api.url)
    assert given.exit_code == 0, given.output
    assert api.asked.pop().body["env"] == {"SECRET": "1"}
    monkeypatch.setattr("steadyd.cli.deploy.JSON_BYTES_MAX", 10)
    refused = steadyd("deploy", str(app), "--name", "hello", "--env-file", f"{app}/.env", "--server", api.url)
    assert (refused.exit_code, "--env-file goes with at most" in refused.stderr) == (1, True)


def test_text_stays_text() -> None:
    assert encode({"a": "é\x00".encode(), "b": b"\xff"}) == {"a": "é\x00", "b": {"base64": "/w=="}}


def test_what_json_says_fits_a_query_too() -> None:
    about = {"trial": False, "message": "a & b", "git": {"commit": "0123abc", "dirty": True}}
    assert query_of(about) == "trial=false&message=a+%26+b&git_commit=0123abc&git_dirty=true"


def test_an_archive_goes_whole(api: Api, steadyd: Steadyd, tmp_path: Path) -> None:
    path = tmp_path / "shop.steady"
    path.write_bytes(sample.packed(sample.said(), sample.GOOD).getvalue())
    api.answers["PUT /api/apps/hello"] = (201, LIVE)
    result = steadyd("deploy", str(path), "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "http://hello.localhost:8080\n"), result.stderr
    assert api.asked[-1].body == path.read_bytes()
    api.answers["PUT /api/apps/other?temporary=true&message=Mine"] = (201, LIVE)
    words = ("deploy", str(path), "--name", "other", "--temporary", "-m", "Mine", "--server", api.url)
    assert "app" in json.loads(steadyd(*words, "--json").stdout)
    assert steadyd("deploy", str(path), "--with-data", "--server", api.url).exit_code == 2
    api.answers["PUT /api/apps/hello?replace_data=true"] = (201, LIVE)
    assert steadyd("deploy", str(path), "--replace-data", "--server", api.url).exit_code == 0
    assert steadyd("deploy", str(tmp_path), "--replace-data", "--server", api.url).exit_code == 2
