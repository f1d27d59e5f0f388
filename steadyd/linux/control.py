"""Control files and the folders they lie in: read, written, emptied and removed."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from steadyd.errors import SteadyError

PASSES_MAX = 64
"""Of signalling all processes of a group until a pass finds no new one. Two or three do."""
CLEAR_SECONDS_MAX = 10.0
"""A killed process ends at once, unless it waits for a broken disk."""
CLEAR_AGAIN_SECONDS = 0.002


def read(path: str) -> str:
    """The whole text."""
    with open(path) as file:
        return file.read()


def number(path: str) -> int:
    """A file with one number; 0 for `max`, which is no limit."""
    text = read(path).strip()
    return 0 if text == "max" else int(text)


def keyed(path: str) -> dict[str, int]:
    """A file with a name and a number a line."""
    pairs = (line.split() for line in read(path).splitlines())
    return {key: int(value) for key, value in pairs if value.isdigit()}


def write(path: str, value: str | int) -> None:
    """One write(2), unbuffered: the kernel answers to it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def write_where_there(path: str, value: str | int) -> None:
    """For what not every kernel has, or not on every disk."""
    with contextlib.suppress(FileNotFoundError):
        write(path, value)


def members(folder: str) -> list[int]:
    """The processes in one group; none if it is gone."""
    try:
        return sorted({int(line) for line in read(f"{folder}/cgroup.procs").split()} - {0})
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return []
        raise


def folders(root: str) -> Iterator[str]:
    """The groups below and with `root`, the innermost first."""
    for folder, _, _ in os.walk(root, topdown=False):
        yield folder


def above(folder: str, name: str) -> Iterator[str]:
    """`folder` and the groups above it that have a file `name`: all but the root of the hierarchy, as a rule."""
    while os.path.exists(f"{folder}/{name}"):
        yield folder
        folder = os.path.dirname(folder)


def signal_all(pids: Callable[[], Iterable[int]], send: Callable[[int], None]) -> None:
    """`send` to each of `pids`, again and again until none is new: one may have been forking another.

    Raises:
        SteadyError: `internal` if that has no end.
    """
    done: set[int] = set()
    for _ in range(PASSES_MAX):
        fresh = set(pids()) - done
        if not fresh:
            return
        for pid in fresh:
            send(pid)
        done |= fresh
    raise SteadyError("internal", f"A control group has new processes after {PASSES_MAX} passes over all of them.")


def send(number: signal.Signals) -> Callable[[int], None]:
    """A signal to one process, which may have ended."""

    def to(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    return to


def lock(folder: str) -> None:
    """Nothing in this group and below can fork any more."""
    write_where_there(f"{folder}/pids.max", 0)


def kill(folder: str) -> None:
    """SIGKILL to every process in this group; none escapes by forking, and nothing forks in it any more."""
    lock(folder)
    try:
        write(f"{folder}/cgroup.kill", 1)  # Linux 5.14, version 2
    except FileNotFoundError:
        signal_all(lambda: members(folder), send(signal.SIGKILL))


def clear(roots: Sequence[str]) -> None:
    """Kill everything in the groups `roots` and below, wait until it is gone, remove them. It blocks: for start and
    end only.

    Raises:
        SteadyError: `cannot_start` with the processes that would not end in CLEAR_SECONDS_MAX.
    """
    deadline = time.monotonic() + CLEAR_SECONDS_MAX
    there = [root for root in roots if os.path.isdir(root)]
    for root in there:
        lock(root)

    def pids() -> set[int]:
        return {pid for root in there for folder in folders(root) for pid in members(folder)} - {os.getpid()}

    found = pids()
    signal_all(pids, send(signal.SIGKILL))
    _wait(found, deadline)
    while [folder for root in there for folder in folders(root) if not remove(folder)]:
        if time.monotonic() > deadline:
            left = ", ".join(map(str, sorted(pids())))
            raise SteadyError("cannot_start", f"Processes in {there[0]} were killed and do not end: {left}.")
        time.sleep(CLEAR_AGAIN_SECONDS)


def remove(folder: str) -> bool:
    """Remove one group; false while something in it is still ending."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


# Private


def _wait(pids: Iterable[int], deadline: float) -> None:
    """Until each of them has ended, or the deadline."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                poll.poll(max(0.0, deadline - time.monotonic()) * 1_000)
            finally:
                os.close(descriptor)
