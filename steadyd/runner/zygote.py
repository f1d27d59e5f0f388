"""Zygotes: Bun started in its sandbox before anybody asked. A sleeping app that is wanted takes one, and saves the time
that a sandbox and Bun need to come up.

A zygote has run nothing of anybody's and becomes one app only. It has a host uid that no app and no other zygote has;
the app's folder is bound into it with the owner translated, so that on disk everything is the app's as ever. Its
namespaces, its filter and its cgroup are those of a plain start, from the same policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux.cgroup import Cgroups, Group, Tier
from steadyd.model import Limits, Network
from steadyd.reach import Reach
from steadyd.runner import sandbox
from steadyd.runner.confined import ENVIRON, LIMITS, Confined, caps, start_confined
from steadyd.runner.engine import ENTRY, Engine, bun_words
from steadyd.runner.launcher import Launcher
from steadyd.runner.networks import Attachment, Networks
from steadyd.runner.process import Confinement
from steadyd.runner.status import StatusReader
from steadyd.runner.watch import Watch

READY = {"accounts": 2, "guests": 1}
"""How many wait for the apps of each tier. One costs 3 MiB."""
BORN_SECONDS_MAX = 10.0
BIRTH_CPU_WEIGHT = 5
"""While one comes up, every app goes before it, those that start too."""
AGAIN_SECONDS = 0.1
"""After one was taken: the app that took it comes first."""
FAILED_SECONDS = 30.0
"""After one could not be made."""
UID_FIRST, UIDS = 1_899_900_000, 90_000
"""Zygotes' host uids, below those of apps; used in turn."""

logger = logging.getLogger("steadyd.zygote")


@dataclass(eq=False, slots=True)
class Zygote:
    """One that waits. Whoever takes it owns all of it."""

    confined: Confined
    status: StatusReader
    runtime: Path
    group: Group
    limits: Limits
    """What its group allows."""
    network: Attachment
    uid: int
    mounts: int
    """Descriptor of its mount namespace."""
    spare: int
    """Pid that holds the user namespace through which its app's owner is translated."""
    starving: Callable[[], None] = lambda: None
    """Called when its group is out of memory: whoever takes it sets this."""


class Nursery:
    """Keeps zygotes ready, for a daemon that is root and has a sandbox and cgroups. Elsewhere every start is plain."""

    def __init__(
        self,
        engine: Engine,
        runtime: Path,
        launcher: Launcher,
        cgroups: Cgroups,
        networks: Networks | None,
        limits: Mapping[Tier, Limits],
    ) -> None:
        """`limits` are those that most apps of a tier will have; a tier that is not named gets no zygotes."""
        self._engine = engine
        self._runtime = runtime
        self._launcher = launcher
        self._cgroups = cgroups
        self._networks = networks
        self._system = sandbox.look_at_system()
        self._numbers = itertools.count(1)
        self._waiting: dict[Tier, list[Zygote]] = {tier: [] for tier in limits}
        self._limits = limits
        self._changed = Watch()
        self.problem = ""
        """Why there are none, where this system cannot bind a folder so."""

    async def run(self) -> None:
        """Keep them ready, one after the other, for ever."""
        while not self.problem:
            await self._changed.until(lambda: self._lacking() is not None)
            await asyncio.sleep(AGAIN_SECONDS)
            tier = self._lacking()
            if tier is None or self.problem:
                continue
            try:
                self._waiting[tier].append(await self._bear(tier))
            except (SteadyError, OSError, TimeoutError) as error:
                logger.warning("apps wake by a plain start, no zygote comes up: %s", error)
                await asyncio.sleep(FAILED_SECONDS)
        self.close()  # none of those that wait can become an app

    @property
    def ready(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    def take(self, app_id: str, reach: Reach) -> Zygote | None:
        """One that waits, now the caller's, in a network that reaches what the app may; None if there is none."""
        waiting = self._waiting.get("guests" if reach.guest else "accounts", [])
        usual = self._networks is None or (reach.network is Network.INTERNET and not self._networks.targets.get(app_id))
        while waiting and usual and not self.problem:
            zygote = waiting.pop(0)
            self._changed.changed()
            served = self._networks is None or self._networks.hand_over(zygote.network, app_id, reach)
            if served and not zygote.confined.process.ended.done():
                return zygote
            self.discard(zygote)
        return None

    async def settle(self, zygote: Zygote, owner: int, folders: Mapping[str, Path], environ: Mapping[str, str]) -> bool:
        """Make `zygote` an app: its folder (the first of inner path → host path, the rest read-only) and its
        variables. False if that cannot be done; then nothing of it is left.
        """
        mounts = [(str(outer), inner, place == 0) for place, (inner, outer) in enumerate(folders.items())]
        try:
            await self._launcher.bind(zygote.spare, (owner, zygote.uid), zygote.mounts, mounts)
        except SteadyError as error:
            self.problem = error.message
            logger.warning("apps wake by a plain start: %s", error.message)
            self.discard(zygote)
            return False
        except BaseException:  # whoever wanted it has gone
            self.discard(zygote)
            raise
        if not zygote.status.send(json.dumps(dict(environ)).encode() + b"\n"):
            self.discard(zygote)
            return False
        os.close(zygote.mounts)
        return True

    def discard(self, zygote: Zygote) -> None:
        """End one that became nothing."""
        zygote.confined.process.kill()
        zygote.group.kill()
        self._launcher.dismiss(zygote.spare)
        zygote.status.close()
        os.close(zygote.mounts)
        os.close(zygote.confined.output)
        zygote.group.remove()
        zygote.network.release()
        shutil.rmtree(zygote.runtime, ignore_errors=True)

    def close(self) -> None:
        for waiting in self._waiting.values():
            while waiting:
                self.discard(waiting.pop())

    # Private

    def _lacking(self) -> Tier | None:
        return next((tier for tier, waiting in self._waiting.items() if len(waiting) < READY[tier]), None)

    async def _bear(self, tier: Tier) -> Zygote:
        number = next(self._numbers)
        uid = UID_FIRST + number % UIDS
        runtime = self._runtime / f"z{number}"
        runtime.mkdir(mode=0o700)
        os.chown(runtime, uid, uid)
        reach = Reach(Network.INTERNET, "", tier == "guests")
        with contextlib.ExitStack() as failed:
            failed.callback(shutil.rmtree, runtime, ignore_errors=True)
            network = await self._networks.take("", reach) if self._networks is not None else Attachment("", reach)
            failed.callback(network.release)
            group = self._cgroups.make(tier, f"zygote.{number}")
            failed.callback(group.remove)
            group.cap(replace(caps(self._limits[tier]), cpu_weight=BIRTH_CPU_WEIGHT))
            ours, theirs = socket.socketpair()
            failed.callback(ours.close)
            with theirs:
                confined = await self._start(uid, runtime, theirs, group, network)
            failed.callback(os.close, confined.output)
            failed.callback(group.kill)
            failed.callback(confined.process.kill)
            status = StatusReader(confined.process, ours, confined.info)
            failed.callback(status.close)
            async with asyncio.timeout(BORN_SECONDS_MAX):
                events: set[asyncio.Future[object]] = {status.waiting, confined.process.ended}  # type: ignore[arg-type]
                await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            inner = confined.process.group
            if confined.process.ended.done() or inner == confined.process.pid:
                raise SteadyError("cannot_start", "it did not come up.")
            mounts = os.open(f"/proc/{inner}/ns/mnt", os.O_RDONLY)
            failed.callback(os.close, mounts)
            spare = await self._launcher.spare()
            group.cap(caps(self._limits[tier]))
            failed.pop_all()
        zygote = Zygote(confined, status, runtime, group, self._limits[tier], network, uid, mounts, spare)
        group.watch_memory(lambda: zygote.starving())
        return zygote

    async def _start(
        self, uid: int, runtime: Path, status: socket.socket, group: Group, network: Attachment
    ) -> Confined:
        room = sandbox.Room(
            folder=self._engine.nursery,
            engine=self._engine.folder,
            uid=uid,
            environ={**ENVIRON, "STEADY_ZYGOTE": "1"},
            runtime=runtime,
            folder_read_only=True,
            network="entered" if network.namespaces else "own",
            working="/",  # Bun remembers what it saw of the folder that it was started in
        )
        words = bun_words(sandbox.ENGINE, f"{sandbox.APP}/{ENTRY}")
        confinement = Confinement(uid, group.join, network.namespaces, LIMITS)
        return await start_confined(self._launcher.spawn, room, self._system, words, status, confinement)
