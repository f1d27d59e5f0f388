from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

import pytest

from steadyd import premises
from steadyd.config import Address, Config
from steadyd.errors import SteadyError
from steadyd.premises import bind, data_folder, runtime_folder, sandbox_problem, write_private
from steadyd.runner.engine import Engine
from steadyd.runner.tool import Tools

NOWHERE = Engine(Path("/nowhere"), "0")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_data_folder_is_ours_alone_but_for_passing_through(tmp_path: Path) -> None:
    config = Config(tmp_path / "a" / "data")
    with data_folder(config):
        assert mode(config.data) == (0o711 if os.geteuid() == 0 else 0o700)
        assert config.apps.is_dir()
        assert config.blobs.is_dir()
    with data_folder(config):
        pass


def test_a_data_folder_is_used_by_one_daemon_at_a_time(tmp_path: Path) -> None:
    config = Config(tmp_path / "data")
    with data_folder(config):
        with pytest.raises(SteadyError) as caught, data_folder(config):
            pass
        assert caught.value.code == "cannot_start"
        assert "Another steadyd" in caught.value.message


def test_short_lived_files_are_there_while_it_runs_and_what_a_crash_left_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(premises, "runtime_parent", lambda: tmp_path / "run")
    config = Config(tmp_path / "data")
    with runtime_folder(config) as corner:
        (corner.instances / "left").write_text("")
        assert mode(corner.control.parent) == 0o700
        with runtime_folder(config) as again:
            assert list(again.instances.iterdir()) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_somebody_else_s_folder_or_link_is_not_used_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make what belongs to somebody else")
    ours = tmp_path / "ours"
    ours.mkdir()
    theirs = tmp_path / "theirs"
    theirs.symlink_to(ours)
    os.chown(theirs, 1234, 1234, follow_symlinks=False)
    monkeypatch.setattr(premises, "runtime_parent", lambda: theirs)
    with pytest.raises(SteadyError) as caught, runtime_folder(Config(tmp_path / "data")):
        pass
    assert "belongs to somebody else" in caught.value.message


@pytest.mark.parametrize(
    ("sandbox", "host", "said"),
    [("required", "127.0.0.1", "--sandbox required"), ("auto", "0.0.0.0", "only listens on loopback")],
)
def test_without_a_sandbox_some_ways_to_start_are_errors(sandbox: str, host: str, said: str, tmp_path: Path) -> None:
    config = Config(tmp_path, Address(host, 0), sandbox=sandbox)
    with pytest.raises(SteadyError) as caught:
        asyncio.run(_problem(config))
    assert caught.value.code == "cannot_start"
    assert said in caught.value.message


def test_switched_off_on_loopback_it_starts_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        problem = asyncio.run(_problem(Config(tmp_path, sandbox="off")))
    assert "--sandbox off" in problem
    assert problem in caplog.text


async def _problem(config: Config) -> str:
    (config.data / "engine").mkdir()
    return await sandbox_problem(config, Tools(NOWHERE, sandboxed=True))


def test_the_port_is_known_before_anything_is_served() -> None:
    (first,) = bind(Address("127.0.0.1", 0))
    with first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass
        with pytest.raises(SteadyError) as caught:
            bind(Address("127.0.0.1", port))
    said = f"Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --listen."
    assert caught.value.message == said


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(SteadyError) as caught:
        bind(Address("203.0.113.1", 0))  # nobody's (RFC 5737)
    assert caught.value.code == "cannot_start"
    assert "203.0.113.1" in caught.value.message


def test_a_private_file_is_replaced_whole_and_nobody_else_s_to_read(tmp_path: Path) -> None:
    path = tmp_path / "operator.token"
    for text in ("first", "second"):
        write_private(path, text)
        assert (path.read_text(), mode(path)) == (f"{text}\n", 0o600)
    assert list(tmp_path.iterdir()) == [path]
