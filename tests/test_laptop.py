"""The listener of `steadyd run`. The command itself is tested in tests/cli/test_run.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from steadyd import laptop
from steadyd.errors import SteadyError


def ports(sockets: list[socket.socket]) -> set[int]:
    found = {sock.getsockname()[1] for sock in sockets}
    for sock in sockets:
        sock.close()
    return found


def free_port(neighbours: int) -> int:
    """A port that is free now, with that many free ones after it."""
    while True:
        first = ports(laptop.listen(0)).pop()
        try:
            for port in range(first, first + neighbours + 1):
                ports(laptop.listen(port))
        except SteadyError:
            continue
        return first


def taken(host: str, port: int) -> socket.socket:
    other = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    other.bind((host, port))
    other.listen()
    return other


def test_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port(2)
    monkeypatch.setattr(laptop, "DEFAULT_PORT", port)
    first, second = laptop.listen(None), laptop.listen(None)
    assert (ports(first), ports(second)) == ({port}, {port + 1})


def test_a_port_taken_on_either_address_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser tries ::1 and 127.0.0.1: both must lead to us."""
    if not socket.has_ipv6 or len(found := laptop.listen(0)) < 2:
        pytest.skip("no IPv6 here")
    ports(found)
    port = free_port(1)
    monkeypatch.setattr(laptop, "DEFAULT_PORT", port)
    with taken("::1", port):
        assert ports(laptop.listen(None)) == {port + 1}


def test_a_port_that_was_asked_for_is_not_replaced() -> None:
    port = free_port(0)
    with taken("127.0.0.1", port), pytest.raises(SteadyError, match=f"Port {port} is taken") as caught:
        laptop.listen(port)
    assert caught.value.code == "cannot_start"


def test_trying_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(port: int) -> list[socket.socket]:
        tried.append(port)
        raise OSError

    refusing: Callable[[int], list[socket.socket]] = refuse
    monkeypatch.setattr(laptop, "_listen_on", refusing)
    with pytest.raises(SteadyError, match="No port from 8080"):
        laptop.listen(None)
    assert len(tried) == laptop.PORTS_TRIED_MAX


def test_what_a_killed_run_left_is_swept_but_nothing_of_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laptop, "SCRATCH", str(tmp_path))
    left, young, foreign = (tmp_path / name for name in ("steadyd-run-left", "steadyd-run-young", "other"))
    for folder in (left, young, foreign):
        folder.mkdir()
    (tmp_path / "steadyd-run-link").symlink_to(foreign)
    os.utime(left, (0, 0))
    os.utime(foreign, (0, 0))
    with laptop.scratch_folder() as mine:
        os.utime(mine, (0, 0))
        assert not left.exists()
        with laptop.scratch_folder() as another:
            assert mine.is_dir()
        assert not another.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "steadyd-run-link", "steadyd-run-young"]
