"""The trial: a candidate version started on a copy of what the app has written, before it may go live."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import PurePosixPath

from steadyd.errors import SteadyError
from steadyd.model import App, Version
from steadyd.runner.bundle import Bundler, Fault, find_bundle, refusal
from steadyd.runner.failure import Failure
from steadyd.runner.fleet import Fleet
from steadyd.runner.folder import FOLDER_MODE, Folder, Place, make_root, scratch_path
from steadyd.runner.instance import Instance
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Tools

HEALTH_SECONDS_MAX = 10.0
HEALTH_BYTES_MAX = 64 << 10
COPY_SECONDS_MAX = 60.0
COPY_BYTES_MAX = 1 << 30
COPY_FILES_MAX = 100_000


class Trials:
    """Tries candidates. Nothing that a candidate does reaches the live folder."""

    def __init__(self, fleet: Fleet, tools: Tools) -> None:
        self._ground = fleet.ground
        self._tools = tools
        self._bundler = Bundler(tools, fleet.ground.blobs)
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(
        self, app: App, live: Version | None, version: Version, tried: bool = True
    ) -> AsyncIterator[Candidate]:
        """A candidate to check and, if it is to be `tried`, to try. While the one goes on, the copy of the data for the
        other is made."""
        candidate = Candidate(self, app, live, version)
        if tried:
            candidate.prepare()
        try:
            yield candidate
        finally:
            await candidate.close()

    async def check(self, app: App, live: Version | None, version: Version, keep: bool) -> None:
        """See that what the entry reaches parses and hangs together; with `keep`, have its bytecode made.

        Raises:
            SteadyError: `deploy_failed` with file, line, column and source line.
        """
        place = self._ground.place(app)
        faults = await self._bundler.make(place, version, keep)
        if live is not None and any(fault.specifier for fault in faults):
            faults = await asyncio.to_thread(_not_written, Folder(place, self._ground.blobs), faults)
        if faults:
            raise refusal(faults)

    async def decline(self, app: App, version: Version, failure: Failure) -> bool:
        """Let `version` run from source from now on; false if it does."""
        place = self._ground.place(app)
        if find_bundle(place, version, self._tools.engine) is None:
            return False
        await self._bundler.decline(place, version, failure.message)
        return True

    async def stage(self, app: App, live: Version | None, version: Version) -> Place:
        """A folder as the candidate will find its own: a copy of what was written, and the version's files.

        Raises:
            SteadyError: `deploy_failed`, if the data cannot be copied.
        """
        place = self._ground.place(app)
        scratch = Place(scratch_path(place, "trial"), place.uid)
        try:
            if live is not None:
                await self._copy(place, scratch, live)
            await self._ground.link(app, version, scratch)
        except BaseException:
            await self._ground.trash.throw(scratch.root)
            raise
        return scratch

    async def attempt(self, app: App, version: Version, scratch: Place) -> None:
        """Start the version in `scratch`, which is gone soon after.

        Raises:
            Failure: it did not listen, or not answer its health request.
        """
        ground = self._ground
        try:
            plan = await ground.plan(app, version, scratch, environment="trial")
            instance = await ground.starter.start(plan, ground.timing.start_seconds)
        except BaseException:
            await ground.trash.throw(scratch.root)
            raise
        try:
            await check_health(instance, ground.urls.app(app.name))
        except Failure as failure:
            self._leave(instance, scratch)
            await instance.gone()
            raise replace(failure, evidence=instance.evidence(plan.limits)) from failure
        except BaseException:
            self._leave(instance, scratch)
            raise
        self._leave(instance, scratch)

    def say(self, app: App, version: Version, told: str) -> None:
        self._ground.logs.say(app.id, version.number, told)

    async def throw(self, scratch: Place) -> None:
        await self._ground.trash.throw(scratch.root)

    async def settled(self) -> None:
        """Wait until nothing of any candidate is left."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    # Private

    def _leave(self, instance: Instance, scratch: Place) -> None:
        """It served nobody, and its data goes: there is nothing to end well, and nobody needs to wait for it."""

        async def leave() -> None:
            await instance.gone()
            await self.throw(scratch)

        instance.kill()
        task = asyncio.ensure_future(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _copy(self, place: Place, scratch: Place, live: Version) -> None:
        """Databases consistently while the old version writes, other files by copy, as the app's own uid."""
        shipped = [file.path for file in live.files]
        folder = Folder(place, self._ground.blobs)
        if not await asyncio.to_thread(folder.has_written):
            return
        _make(scratch, shipped)
        room = Room(
            place.app,
            self._tools.engine.folder,
            place.uid,
            {"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            extra={"/copy": scratch.app, "/list": scratch.root / "list"},
        )
        words = [*SCRIPT, "{engine}/snapshot.ts", "{copy}", "--shipped", "{list}/shipped.json"]
        words += ["--max-bytes", str(COPY_BYTES_MAX), "--max-files", str(COPY_FILES_MAX)]
        result = await self._tools.run(room, words, COPY_SECONDS_MAX)
        if not result.ok:
            lines = result.last_lines()
            reason = lines[-1] if lines else f"the copy ended with {result.ended}"
            details = {"step": "trial", "reason": reason, "logs": lines}
            raise SteadyError("deploy_failed", f"The data could not be copied for the trial: {reason}", details)


class Candidate:
    """One version on its way to be live."""

    def __init__(self, trials: Trials, app: App, live: Version | None, version: Version) -> None:
        self._trials = trials
        self._app = app
        self._live = live
        self._version = version
        self._staged: asyncio.Task[Place] | None = None

    def prepare(self) -> None:
        """Begin to copy the data."""
        staging = self._trials.stage(self._app, self._live, self._version)
        self._staged = asyncio.ensure_future(staging)

    async def check(self) -> None:
        """See that it parses and hangs together. Bytecode is made of what is to be tried.

        Raises:
            SteadyError: `deploy_failed`.
        """
        await self._trials.check(self._app, self._live, self._version, keep=self._staged is not None)

    async def run(self) -> None:
        """Start it on a copy of the data (a new app has none); it must listen and answer GET / below 500.

        It is tried as it will run: as bytecode where that can be, and from source where its bytecode fails.

        Raises:
            Failure, SteadyError: why it may not go live.
        """
        self._trials.say(self._app, self._version, f"Trying version {self._version.number} on a copy of the data.")
        try:
            await self._attempt()
        except Failure as failure:
            if not await self._trials.decline(self._app, self._version, failure):
                raise
            await self._attempt()

    async def close(self) -> None:
        """Let go of a copy that nobody used."""
        staged, self._staged = self._staged, None
        if staged is not None:
            staged.cancel()
            with contextlib.suppress(asyncio.CancelledError, SteadyError, OSError):
                await self._trials.throw(await staged)

    # Private

    async def _attempt(self) -> None:
        if self._staged is None:
            self.prepare()
        staged, self._staged = self._staged, None
        assert staged is not None
        await self._trials.attempt(self._app, self._version, await staged)


async def check_health(instance: Instance, origin: str) -> None:
    """Ask GET / on the instance's socket.

    Raises:
        Failure: it answered 500 or above, something else than HTTP, or nothing in time.
    """
    problem = ""
    try:
        async with asyncio.timeout(HEALTH_SECONDS_MAX):
            status = await _ask(instance.address, origin.partition("://")[2])
        if status >= 500:
            problem = f"GET / answered {status}."
    except TimeoutError:
        problem = f"GET / was not answered within {HEALTH_SECONDS_MAX:g} s."
    except (OSError, ValueError, IndexError, asyncio.IncompleteReadError):
        problem = "GET / was not answered with HTTP."
    if problem:
        await asyncio.sleep(0)  # let the log pump take what the app said about it
        raise Failure("exit", problem, instance.uptime_seconds or 0.0, None, None, list(instance.pump.recent))


# Private


async def _ask(socket: str, host: str) -> int:
    reader, writer = await asyncio.open_unix_connection(socket, limit=HEALTH_BYTES_MAX)
    try:
        request = (
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steadyd-trial\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode())
        line = await reader.readuntil(b"\r\n")
        return int(line.split(b" ")[1])
    except asyncio.LimitOverrunError as error:
        raise ValueError("not a status line") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _make(scratch: Place, shipped: list[str]) -> None:
    listing = scratch.root / "list"
    make_root(scratch)
    for folder, mode in ((scratch.app, FOLDER_MODE), (listing, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    if scratch.uid is not None:
        os.chown(scratch.app, 0, scratch.uid)
    (listing / "shipped.json").write_text(json.dumps(shipped))
    (listing / "shipped.json").chmod(0o644)


def _not_written(folder: Folder, faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults but those of an import that finds what the app itself has written."""

    def found(fault: Fault) -> bool:
        inner = os.path.normpath(PurePosixPath(fault.file).parent / fault.specifier)
        return fault.specifier.startswith(".") and not inner.startswith("..") and folder.holds(inner)

    return tuple(fault for fault in faults if not found(fault))
