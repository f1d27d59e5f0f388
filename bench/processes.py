"""Child processes of a benchmark: started, watched for readiness, measured, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

READY_SECONDS_MAX = 15.0
POLL_SECONDS = 0.01


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, ended with all it started. `environment` is added to ours."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for_port(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until something accepts on the port. Raises RuntimeError if the program ends or takes too long."""
    end = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < end and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{child.args!r} does not listen on {port}: {log.read_text(errors='replace')[-2000:]}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, by the scheduler's nanosecond clock."""
    return sum(_own_cpu_seconds(member) for member in family(pid))


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its descendants."""
    return sum(_resident_mib(member) for member in family(pid))


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    members = [pid]
    for member in members:  # grows while it is walked
        for task in Path(f"/proc/{member}/task").glob("*"):
            with contextlib.suppress(OSError):
                members += [int(child) for child in (task / "children").read_text().split()]
    return members


def _own_cpu_seconds(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    return 0.0
