"""`steadyd run`: the second composition root. One folder, one app, one listener; no store and no control plane."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from steadyd.changes import follow_changes
from steadyd.errors import SteadyError
from steadyd.feed import Subscription
from steadyd.proxy.hosts import RouteTable
from steadyd.proxy.limits import Limits
from steadyd.proxy.listener import Listener
from steadyd.proxy.ring import RequestRecord, RequestRing
from steadyd.runner.local import APP_ID, LocalApp, Source, engine_in
from steadyd.runner.logs import LogLine, Logs
from steadyd.runner.process import settle_descriptors
from steadyd.runner.start import Starter
from steadyd.stopping import on_signals
from steadyd.urls import Urls

__all__ = ["Laptop", "LogLine", "RequestRecord", "Show", "Source", "listen", "run"]

DEFAULT_PORT = 8080
PORTS_TRIED_MAX = 100
BACKLOG = 1_024
SCRATCH = "/tmp"
"""Short: the path of a Unix socket in it must fit into 104 bytes on macOS."""
SCRATCH_PREFIX = "steadyd-run-"
SWEEP_AFTER_SECONDS = 60.0
LOG_BYTES_MAX = 1 << 20
"""Only what is printed matters; the files are scratch."""
LIMITS = Limits(body_bytes_max=0, answer_seconds_max=0)
"""A developer may stop at a breakpoint."""
DRAIN_SECONDS_MAX = 2.0
REQUESTS_EVERY_SECONDS = 0.1
CRON_KEY = "local"
"""What crons are signed with here, where nobody else asks."""


@dataclass(frozen=True, slots=True)
class Laptop:
    """What to run, and what only the command line can tell."""

    source: Source
    port: int | None
    """None: DEFAULT_PORT or the next free one."""
    environ: Mapping[str, str]
    is_ignored: Callable[[str], bool]
    is_database: Callable[[str], bool]
    crons: bool = False
    """Whether the app's crons are fired."""


@dataclass(frozen=True, slots=True)
class Show:
    """What to print. Called on the loop; a BrokenPipeError from one of them ends the run."""

    ready: Callable[[str, str], None]
    """(the app's own URL, the same by `localhost`)"""
    line: Callable[[LogLine], None]
    request: Callable[[RequestRecord], None]


def run(laptop: Laptop, show: Show) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; returns when the app is gone.

    Raises:
        SteadyError: `cannot_start` if no port is free or Bun is missing.
    """
    uvloop.run(_run(laptop, show))


def listen(port: int | None) -> list[socket.socket]:
    """Listening sockets on one port of 127.0.0.1 and, where there is one, ::1 (browsers try either).

    Raises:
        SteadyError: `cannot_start` if the port, or every one that was tried, is taken.
    """
    first = DEFAULT_PORT if port is None else port
    tries = 1 if port else PORTS_TRIED_MAX
    for candidate in range(first, first + tries) if first else [0] * tries:
        with contextlib.suppress(OSError):
            return _listen_on(candidate)
    wanted = f"Port {first} is taken." if port else f"No port from {first} to {first + tries - 1} is free."
    raise SteadyError("cannot_start", f"{wanted} Choose one with --port, or --port 0 for any.")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for this run, locked while it lasts; what killed runs left behind is swept away on the way."""
    for left in Path(SCRATCH).glob(f"{SCRATCH_PREFIX}*"):
        _sweep(left)
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=SCRATCH) as folder:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(lock)


# Private


async def _run(laptop: Laptop, show: Show) -> None:
    settle_descriptors()
    stopping = on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    sockets = listen(laptop.port)
    urls = Urls("localhost", "localhost", sockets[0].getsockname()[1])
    ring = RequestRing()
    with scratch_folder() as scratch:
        async with _app(laptop, urls, scratch, show, stopping) as app:
            name = app.name
            hosts = (f"{name}.localhost", "localhost", "127.0.0.1", "[::1]")
            listener = Listener(RouteTable(dict.fromkeys(hosts, app)), ring, LIMITS)
            await listener.open_sockets(sockets)
            with _ending(stopping):
                show.ready(urls.app(name), urls.control)
            tasks = [
                asyncio.create_task(_show_requests(ring, show, stopping)),
                asyncio.create_task(follow_changes(app, laptop.is_ignored, laptop.is_database)),
            ]
            if laptop.crons:
                tasks.append(asyncio.create_task(_fire_crons(app, urls)))
            for task in tasks:
                task.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await listener.close(DRAIN_SECONDS_MAX)
            with _ending(stopping):
                for record in ring.drain():
                    show.request(record)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _sweep(left: Path) -> None:
    """Remove a scratch folder of ours that nobody holds, unless it is so new that its run may not hold it yet."""
    with contextlib.suppress(OSError):
        about = left.lstat()
        if about.st_uid != os.geteuid() or time.time() - about.st_mtime < SWEEP_AFTER_SECONDS:
            return
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(lock)


@asynccontextmanager
async def _app(
    laptop: Laptop, urls: Urls, scratch: Path, show: Show, stopping: asyncio.Event
) -> AsyncIterator[LocalApp]:
    """The app with its log on the way to the screen. On leaving, its process is gone and its last line shown."""
    logs = Logs(lambda app_id: scratch / "logs", LOG_BYTES_MAX)
    sockets = scratch / "run"
    sockets.mkdir()
    name = laptop.source.name
    environ = {
        "NODE_ENV": "development",
        **laptop.environ,
        "PORT": str(urls.port),
        "STEADY_APP": name,
        "STEADY_URL": urls.app(name),
        "STEADY_ENV": "local",
        "STEADY_CRON_KEY": CRON_KEY,
    }
    starter = Starter(engine_in(scratch / "engine"), sockets, logs, sandboxed=False)
    app = LocalApp(laptop.source, starter, logs, environ)
    app.calls = laptop.crons
    lines = asyncio.create_task(_show_lines(logs.feed.subscribe(APP_ID), show, stopping))
    try:
        yield app
    finally:
        await app.close()
        await logs.close()
        await lines


async def _fire_crons(app: LocalApp, urls: Urls) -> None:
    from steadyd.runner.clock import Clock
    from steadyd.runner.errand import Errands

    async def key(app_id: str) -> str:
        return CRON_KEY

    def say(app_id: str, version: int, said: str) -> None:
        app.say(said)

    errands = Errands(lambda app_id: app, urls.app, lambda told: None, say, key)
    await Clock(app.id, app.source.folder, errands.run, app.say).run()


async def _show_lines(lines: Subscription[LogLine], show: Show, stopping: asyncio.Event) -> None:
    async for line in lines:
        with _ending(stopping):
            show.line(line)
            if missed := lines.missed:
                lines.missed = 0
                show.line(LogLine(line.at, line.version, "steadyd", f"{missed} lines dropped: too fast to print"))


async def _show_requests(ring: RequestRing, show: Show, stopping: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(REQUESTS_EVERY_SECONDS)
        with _ending(stopping):
            for record in ring.drain():
                show.request(record)


@contextmanager
def _ending(stopping: asyncio.Event) -> Iterator[None]:
    """Whoever read our output has gone: stop, as `yes | head` does."""
    try:
        yield
    except BrokenPipeError:
        stopping.set()


def _listen_on(port: int) -> list[socket.socket]:
    """Both sockets, or an OSError and none of them."""
    sockets: list[socket.socket] = []
    try:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                sock = socket.socket(family)
                sockets.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)))
                # Two unbound sockets with SO_REUSEADDR may share a port; only one of them may listen on it.
                sock.listen(BACKLOG)
            except OSError as error:
                if family is socket.AF_INET or error.errno == errno.EADDRINUSE:
                    raise
                if len(sockets) > 1:
                    sockets.pop().close()  # no IPv6 here
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
