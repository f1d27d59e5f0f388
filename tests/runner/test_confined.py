"""Starting a program in the sandbox: what it gets, and that nothing is left open when it cannot be."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import sandbox
from steadyd.runner.confined import filled, start_confined
from steadyd.runner.engine import Engine
from steadyd.runner.process import UNCONFINED, Confinement, Process, spawn
from tests.runner.conftest import UID, run


def room(root: Path, bun: Engine, **environ: str) -> sandbox.Room:
    folder = root / "app"
    folder.mkdir(exist_ok=True)
    return sandbox.Room(folder, bun.folder, UID, {"PATH": "/usr/bin:/bin", **environ})


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.sandbox
def test_it_has_its_output_its_status_socket_and_its_variables(root: Path, bun: Engine) -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair()
        words = ["/bin/sh", "-c", "echo $WORD; echo wrong >&2; echo told >&3"]
        given = room(root, bun, WORD="said")
        confined = await start_confined(spawn, given, sandbox.look_at_system(), words, theirs, Confinement(UID))
        theirs.close()
        assert (await confined.process.ended).code == 0
        assert os.read(confined.output, 100) == b"said\nwrong\n"
        assert ours.recv(100) == b"told\n"
        assert b"child-pid" in os.read(confined.info, 4_096)
        os.close(confined.output)
        os.close(confined.info)
        ours.close()

    run(body())


def test_what_cannot_be_started_leaves_nothing_open(root: Path, bun: Engine) -> None:
    async def nobody(
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process:
        raise SteadyError("cannot_start", "there is no such program")

    async def body() -> None:
        ours, theirs = socket.socketpair()
        before = descriptors()
        given, system = room(root, bun), sandbox.look_at_system()
        with pytest.raises(SteadyError, match="no such program"):
            await start_confined(nobody, given, system, ["/bin/true"], theirs, Confinement(UID))
        assert descriptors() == before
        ours.close()
        theirs.close()

    run(body())


def test_what_is_filled_is_read_whole_from_its_beginning() -> None:
    for content in (b"", b"x" * 1_000_000):
        with open(filled(content), "rb") as file:
            assert file.read() == content
