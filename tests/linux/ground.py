"""Groups of this machine's version, and programs that run in them. The standard library, pytest and uvloop only: the
same tests run in a virtual machine that has nothing else (scripts/cgroup2-vm)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Cgroups, Group, Tier, open_cgroups

SCALE = float(os.environ.get("STEADYD_TEST_SLOWNESS", "1"))
"""How much slower this machine is than any real one: an emulated one is."""


class Ground:
    """Groups, and what runs in them, ended with the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cgroups: Cgroups = open_cgroups(name)
        self._running: list[subprocess.Popen[str]] = []

    def make(self, tier: Tier = "accounts", name: str = "app") -> Group:
        return self.cgroups.make(tier, name)

    def start(self, group: Group, code: str, *args: object) -> subprocess.Popen[str]:
        """Python `code` as a child that joins before its first instruction; its lines can be read."""

        def join() -> None:
            for path in group.join:
                descriptor = os.open(path, os.O_WRONLY)
                os.write(descriptor, b"0")
                os.close(descriptor)

        argv = [sys.executable, "-I", "-S", "-u", "-c", code, *map(str, args)]
        child = subprocess.Popen(argv, preexec_fn=join, stdout=subprocess.PIPE, text=True)
        self._running.append(child)
        return child

    def end(self) -> None:
        self.cgroups.close()
        for child in self._running:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()


@pytest.fixture
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    try:
        opened = Ground(f"steadyd-test-{os.getpid()}")
    except SteadyError as error:
        if os.environ.get("STEADYD_TEST_CGROUPS"):
            raise
        pytest.skip(f"no control groups here: {error.message}")
    try:
        yield opened
    finally:
        opened.end()


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until `condition` holds; an assertion at the deadline."""
    deadline = time.monotonic() + seconds * SCALE
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds * SCALE} s"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether `pid` runs: a zombie does not."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def killed(child: subprocess.Popen[str]) -> bool:
    return child.wait(timeout=10 * SCALE) == -signal.SIGKILL
