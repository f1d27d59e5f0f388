"""The trial: a candidate version started on a copy of what the app has written, before it may go live."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import replace

from steadyd.errors import SteadyError
from steadyd.model import App, Version
from steadyd.runner.bundle import Bundler
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
        self._fleet = fleet
        self._tools = tools
        self._bundler = Bundler(tools, fleet.ground.blobs)

    async def run(self, app: App, live: Version | None, candidate: Version) -> None:
        """Start `candidate` on a copy of the data (a new app has none); it must listen and answer GET / below 500.

        It is tried as it will run: as bytecode where that can be, and from source where its bytecode fails.

        Raises:
            Failure, SteadyError: why it may not go live.
        """
        place = self._fleet.ground.place(app)
        bundled = await self._bundler.make(place, candidate)
        try:
            await self._try(app, live, candidate)
        except Failure as failure:
            if not bundled:
                raise
            await self._bundler.decline(place, candidate, failure.message)
            await self._try(app, live, candidate)

    # Private

    async def _try(self, app: App, live: Version | None, candidate: Version) -> None:
        place = self._fleet.ground.place(app)
        scratch = Place(scratch_path(place, "trial"), place.uid)
        try:
            if live is not None:
                await self._copy(place, scratch, live)
            await self._fleet.ground.link(app, candidate, scratch)
            plan = self._fleet.ground.plan(app, candidate, scratch, environment="trial")
            ground = self._fleet.ground
            ground.logs.say(app.id, candidate.number, f"Trying version {candidate.number} on a copy of the data.")
            instance = await ground.starter.start(plan, ground.timing.start_seconds)
            try:
                await check_health(instance, ground.urls.app(app.name))
            except Failure as failure:
                raise replace(failure, evidence=instance.evidence(plan.limits)) from failure
            finally:
                instance.kill()  # it served nobody, and its data goes: there is nothing to end well
                await instance.gone()
        finally:
            await self._fleet.ground.trash.throw(scratch.root)

    async def _copy(self, place: Place, scratch: Place, live: Version) -> None:
        """Databases consistently while the old version writes, other files by copy, as the app's own uid."""
        shipped = [file.path for file in live.files]
        folder = Folder(place, self._fleet.ground.blobs)
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
