"""What the doctor finds. Each check is held against a machine that has it, and one that has not."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest

from steadyd.cli import checks
from steadyd.cli.finding import Finding
from steadyd.config import Address
from steadyd.vault import Vault
from tests.cli.conftest import Api
from tests.served import Daemon, until


def test_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.kernel().state == "ok"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.release", lambda: "3.10.0-el7")
    assert checks.kernel().is_fatal


def test_bun_really_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks.bun()
    assert (found.state, found.detail[:2]) == ("ok", "1.")
    monkeypatch.setattr("steadyd.runner.engine.find_bun", lambda: Path("/nonexistent/bun"))
    assert checks.bun().is_fatal


def test_litestream() -> None:
    assert checks.litestream().state == "ok"


def test_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks.data_folder(tmp_path / "new" / "deep")
    assert found.state == "ok"
    assert "will be made" in found.detail
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(checks, "DISK_FREE_BYTES_MIN", 1 << 60)
    assert checks.data_folder(tmp_path).state == "problem"
    assert checks.data_folder(Path("/proc/nothing")).is_fatal


def test_a_free_port_and_a_strangers() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        stranger.listen()
        threading.Thread(target=_hang_up, args=(stranger,), daemon=True).start()
        found = checks.port(Address("127.0.0.1", port))
        assert found.is_fatal
        assert found.fix == "steadyd serve --listen 127.0.0.1:0"
    assert checks.port(Address("127.0.0.1", port)).state == "ok"


def test_our_own_daemon_may_have_the_port(daemon: Daemon) -> None:
    found = checks.port(Address("127.0.0.1", daemon.port))
    assert (found.state, found.detail) == ("ok", f"steadyd answers on 127.0.0.1:{daemon.port}")


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("127.0.0.1", 0))])
    assert checks.localhost_names().state == "ok"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("192.0.2.1", 0))])
    assert checks.localhost_names().state == "problem"


def test_the_key_of_stored_variables(tmp_path: Path, api: Api) -> None:
    assert checks.secrets_key(tmp_path).detail.startswith("none")
    key = tmp_path / "secrets.key"
    Vault(key).make()
    assert checks.secrets_key(tmp_path).state == "ok"
    key.chmod(0o644)
    found = checks.secrets_key(tmp_path)
    assert (found.state, found.fix) == ("problem", f"chmod 600 {key}")
    key.write_text("nonsense")
    assert "cannot be used" in checks.secrets_key(tmp_path).detail
    key.unlink()
    (tmp_path / "url").write_text(api.url)
    api.answers["GET /api/host"] = (200, {"host": {"locked": ["hello"]}})
    found = checks.secrets_key(tmp_path)
    assert (found.state, found.fix) == ("problem", f"put the right {key} back")
    assert "of hello are sealed" in found.detail


def test_a_check_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("oops")

    monkeypatch.setattr(checks, "kernel", broken)
    findings = checks.examine(tmp_path, Address("127.0.0.1", 0))
    assert findings[0].name == "kernel"
    assert findings[0].detail == "the check itself failed: oops"
    assert len(findings) > 6


def _hang_up(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    connection.close()


def test_backups_as_the_daemon_says(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.backups(tmp_path).detail.startswith("no daemon answers")
    until(lambda: checks.backups(daemon.data).state == "ok", 30.0)
    assert "Litestream 0.5" in checks.backups(daemon.data).detail
    told = {"target": "s3://b/p", "litestream": "0.5", "problem": "", "behind": 2, "failing": 0, "records": "ok"}
    monkeypatch.setattr(checks, "_host", lambda data: {"backup": {**told, "records_problem": ""}})
    assert checks.backups(tmp_path).state == "problem"
    assert "2 apps behind" in checks.backups(tmp_path).detail
    told |= {"behind": 0, "records": "failing", "records_problem": "disk full"}
    monkeypatch.setattr(checks, "_host", lambda data: {"backup": told})
    assert "the records: disk full" in checks.backups(tmp_path).detail
    told["problem"] = "it ended"
    assert "Litestream does not run" in checks.backups(tmp_path).detail
