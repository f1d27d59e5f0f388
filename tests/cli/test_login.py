"""Logging in and out, against a real daemon."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from steadyd.cli.program import program
from tests.cli.conftest import Api, Steadyd
from tests.served import Daemon

ADA = {"username": "ada", "password": "correct horse"}
SOURCE = "export default { fetch: () => new Response('mine') };"


def typed(text: str, *words: str) -> Result:
    """A command with `text` on its standard input."""
    return CliRunner().invoke(program, list(words), input=text, prog_name="steadyd")


def test_log_in_deploy_and_log_out(steadyd: Steadyd, home: Path, daemon: Daemon, tmp_path: Path) -> None:
    httpx.post(f"{daemon.url}/api/users", json=ADA, timeout=60).raise_for_status()
    server = ("--server", daemon.url)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.ts").write_text(SOURCE)
    assert steadyd("deploy", str(tmp_path / "app"), "--name", "from-before", *server).exit_code == 0  # as a guest
    assert steadyd("whoami", *server).stdout.endswith(f"(guest) at {daemon.url}\n")

    wrong = typed("wrong horse\n", "login", "--username", "ada", *server)
    assert (wrong.exit_code, wrong.stderr) == (1, "steadyd: The user name or the password is wrong.\n")
    done = typed("ada\ncorrect horse\n", "login", *server)
    assert (done.exit_code, done.stdout) == (0, f"logged in to {daemon.url} as ada\n"), done.stderr
    kept = home / "config" / "steadyd" / "tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "correct horse" not in kept.read_text()
    assert steadyd("whoami", *server).stdout == f"ada (user) at {daemon.url}\n"
    shown = json.loads(steadyd("show", "from-before", "--json", *server).stdout)
    assert (shown["app"]["owner"], shown["app"]["temporary"]) == ("ada", False)

    token = json.loads(kept.read_text())[daemon.url]["user"]
    with httpx.Client(base_url=daemon.url, headers={"Authorization": f"Bearer {token}"}) as client:
        assert [one["label"][:13] for one in client.get("/api/tokens").json()["tokens"]] == ["steadyd login"]
        assert len(client.get("/api/sessions").json()["sessions"]) == 1  # that of the sign-up
        assert steadyd("logout", *server).stdout == f"logged out of {daemon.url}\n"
        assert client.get("/api/me").status_code == 401
    assert steadyd("logout", *server).stderr == f"steadyd: nobody is logged in to {daemon.url}\n"


def test_who_logs_in_at_the_local_daemon_is_no_longer_its_operator(
    home: Path, api: Api, steadyd: Steadyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = home / "data" / "steadyd"
    data.mkdir(parents=True)
    (data / "url").write_text(api.url)
    (data / "operator.token").write_text("op")
    api.answers["GET /api/me"] = (200, {"user": {"name": "x", "kind": "user"}})
    api.answers["POST /api/sessions"] = (201, {"user": {"name": "ada", "kind": "user"}})
    api.answers["POST /api/tokens"] = (201, {"secret": "steady_x", "token": {}})
    api.answers["DELETE /api/sessions/current"] = (200, {})
    assert steadyd("whoami").exit_code == 0
    assert typed("ada\ncorrect horse\n", "login").exit_code == 0
    assert steadyd("whoami").exit_code == 0
    shown = [(asked.method, asked.authorization) for asked in api.asked]
    assert shown == [("GET", "Bearer op"), ("POST", ""), ("POST", ""), ("DELETE", ""), ("GET", "Bearer steady_x")]


def test_nothing_typed_is_a_wrong_use(api: Api, steadyd: Steadyd) -> None:
    assert typed("", "login", "--server", api.url).exit_code == 2
    assert typed("ada\n", "login", "--server", api.url).exit_code == 2
