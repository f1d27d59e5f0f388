"""An app that runs from its developer's own folder: no sandbox, no store, no versions but a count of reloads.

The same runtime as on a server, so that a reload holds, drains and swaps as a deploy does. Two things differ: a start
that fails is not tried again before something changes, and everybody who asks is told why.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.excerpt import excerpt
from steadyd.model import Settings
from steadyd.reach import refusal_of_all
from steadyd.runner.app import AppRuntime, Tell, Timing
from steadyd.runner.bundle import Fault
from steadyd.runner.engine import SCRIPTS, Engine, find_bun
from steadyd.runner.failure import Failure
from steadyd.runner.lifecycle import Event
from steadyd.runner.logs import Logs
from steadyd.runner.proof import Proof, in_place, source_line
from steadyd.runner.sandbox import Room
from steadyd.runner.start import Plan, Starter
from steadyd.runner.tool import Tools
from steadyd.tree import ENTRIES, STATIC_INDEX, find_entry

APP_ID = "local"
TIMING = Timing(start_seconds=30.0, hold_seconds=30.0, drain_seconds=5.0, grace_seconds=2.0)
INSTALL_SECONDS_MAX = 300.0
TARGETS_MAX = 1_000
"""Targets that are judged: each once, whatever an app connects to."""
PACKAGE_BYTES_MAX = 10 << 20
DEPENDENCY_KEYS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


@dataclass(frozen=True, slots=True)
class Source:
    """What is served: a real folder, and the file to run if it is one file only ("" to find the entry)."""

    name: str
    folder: Path
    file: str = ""


class LocalApp(AppRuntime):
    """The app of `steadyd run`, as a service for the data plane."""

    tells_everybody = True

    def __init__(self, source: Source, starter: Starter, logs: Logs, environ: Mapping[str, str]) -> None:
        tell = Tell(happened=self._heard, died=lambda app, death: self.say(death.message), woke=self._woke)
        super().__init__(APP_ID, source.name, starter, TIMING, self._plan, tell)
        self.settings = Settings(idle_seconds=0)
        self.source = source
        self.starts = 0
        self.calls = False
        """Whether functions that crons name can be called."""
        self._logs = logs
        self._environ = environ
        self._installed = ""
        self._targets: set[str] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._tools = Tools(starter.engine, sandboxed=False)
        self._proof = Proof(self._tools, source.folder, dict(environ))
        self._typing: asyncio.Task[None] | None = None
        self.is_broken = False
        """What runs is not what the folder holds: that would not start."""

    async def reload(self) -> bool:
        """Hold, drain, start what the folder holds now; false if it does not start (the log says why).

        What would surely not start is not tried: then what runs goes on.
        """
        if self.instance is not None and (faults := await self._faults()):
            self.is_broken = True
            for fault in faults:
                self._point(fault)
            self.say("It would not start like that: what ran before goes on. Waiting for a change.")
            return False
        self.is_broken = False
        async with self.swap():
            self.plan = None
        try:
            await self.wake()
        except SteadyError:
            return False
        return True

    async def close(self, farewell: SteadyError | None = None) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await super().close()

    @property
    def modules(self) -> set[str]:
        """Files that the running instance loaded as code."""
        return self.instance.told.files if self.instance and self.instance.told else set()

    @property
    def wrote(self) -> set[str]:
        """Files that the running instance wrote."""
        return self.instance.told.wrote if self.instance and self.instance.told else set()

    def say(self, text: str) -> None:
        """Put a line of ours into the app's log."""
        self._logs.say(APP_ID, self.starts, text)

    # Private

    def _heard(self, app_id: str, kind: str, sentence: str) -> None:
        """Not of its sleep, and not that it was given up: `_failed` says so, and what it waits for."""
        if kind not in ("sleep", "failed"):
            self.say(sentence)

    def _woke(self, app_id: str, seconds: float) -> None:
        self.say(f"Started in {seconds * 1000:.0f} ms.")
        if self._typing is not None:
            self._typing.cancel()
        self._typing = self._later(self._check_types())
        if self.instance is not None and (told := self.instance.told) is not None:
            told.on_reached = self._reached
            for target in told.reached:
                self._reached(target)

    def _reached(self, target: str) -> None:
        """Say once of each target that a server would refuse it."""
        if target not in self._targets and len(self._targets) < TARGETS_MAX:
            self._targets.add(target)
            self._later(self._judge(*target.rpartition(" ")[::2]))

    def _later(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def _faults(self) -> tuple[Fault, ...]:
        try:
            return await self._proof.faults(self.source.file or entry_of(self.source.folder))
        except SteadyError:
            return ()  # there is no entry any more: the start says so

    async def _check_types(self) -> None:
        """Say what is wrong with types; it runs all the same, as on a server."""
        assert self.plan is not None
        faults, count = await self._proof.types(self.plan.entry)
        for fault in faults:
            self._point(fault)
        if count > len(faults):
            self.say(f"… and {count - len(faults)} more mistakes of types")

    def _point(self, fault: Fault) -> None:
        for line in in_place(fault):
            self.say(line)

    async def _judge(self, host: str, port: str) -> None:
        reason = refusal_of_all(await _addresses(host), int(port)) if port.isdecimal() else ""
        if reason:
            self.say(f"On a server, {host} port {port} is refused unless its operator opens it: {reason}.")

    async def _plan(self, app_id: str) -> Plan:
        """What to start next, with its dependencies in place.

        Raises:
            SteadyError: there is nothing to run, or `bun install` failed.
        """
        self.starts += 1
        plan = Plan(
            app_id=APP_ID,
            version=self.starts,
            entry=self.source.file or entry_of(self.source.folder),
            folder=self.source.folder,
            environ={**self._environ, "STEADY_VERSION": str(self.starts)},
            local=True,
            calls=self.calls,
        )
        await self._fetch_dependencies(plan)
        return plan

    async def _fetch_dependencies(self, plan: Plan) -> None:
        """Run `bun install` if package.json names what is not there, or names something else than last time."""
        wanted = _dependencies(self.source.folder)
        there = (self.source.folder / "node_modules").is_dir()
        if not wanted or (there and self._installed in ("", wanted)):
            self._installed = wanted
            return
        self.say("Installing what package.json names: bun install")
        room = Room(plan.folder, self._starter.engine.folder, None, plan.environ)
        result = await self._tools.run(room, ["install"], INSTALL_SECONDS_MAX)
        for line in result.last_lines():
            self.say(line)
        if not result.ok:
            raise SteadyError("deploy_failed", "bun install failed; its output is above.")
        self._installed = wanted

    def _failed(self, failure: Failure) -> None:
        self.failure = failure
        self.say(f"It does not start: {failure.message}")
        if (where := failure.where) is not None and where.file and where.line:
            line = source_line(self.source.folder, where.file, where.line)
            for shown in excerpt(line, where.column or 1):
                self.say(f"  {shown}")
        self.say("Waiting for a change.")
        # Not a matter of chance: the same files would fail the same way.
        self._send(Event.DIED_TOO_OFTEN)


def engine_in(folder: Path) -> Engine:
    """The engine for one run: links to the installed Bun and scripts, which nobody else needs to reach.

    Raises:
        SteadyError: `cannot_start` without Bun.
    """
    folder.mkdir()
    (folder / "bun").symlink_to(find_bun())
    for script in SCRIPTS.iterdir():
        (folder / script.name).symlink_to(script)
    return Engine(folder, "")


def entry_of(folder: Path) -> str:
    """What to run in `folder`; "" for a static site.

    Raises:
        SteadyError: `no_entry` or `invalid`, as for a deploy.
    """
    tree = {name: b"" for name in (*ENTRIES, STATIC_INDEX) if (folder / name).is_file()}
    package = _read_package(folder)
    if package:
        tree["package.json"] = package
        for path in _named_entries(package):
            if (folder / path).is_file():
                tree[path] = b""
    return find_entry(tree)


# Private


async def _addresses(host: str) -> set[str]:
    """What a name means on this machine; a literal means itself."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(address[0]) for _, _, _, _, address in found}


def _read_package(folder: Path) -> bytes:
    try:
        with (folder / "package.json").open("rb") as file:
            return file.read(PACKAGE_BYTES_MAX)
    except OSError:
        return b""


def _parsed(package: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(package)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _named_entries(package: bytes) -> list[str]:
    named = [_parsed(package).get(key) for key in ("module", "main")]
    return [os.path.normpath(path) for path in named if isinstance(path, str) and path]


def _dependencies(folder: Path) -> str:
    """What package.json asks for, as text to compare; "" for nothing."""
    package = _parsed(_read_package(folder))
    wanted = {key: package[key] for key in DEPENDENCY_KEYS if package.get(key)}
    return json.dumps(wanted, sort_keys=True) if wanted else ""
