"""Who owns a backup target: numbered epochs, each an object that only one host can create.

A host writes below its own epoch's number only. Whoever recovers a host creates the next epoch before anything else;
the host that was there before sees it, stops, and writes nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from steadyd.backup import layout
from steadyd.backup.objects import Objects
from steadyd.errors import SteadyError
from steadyd.records.epochs import Epochs as Records

LOOK_SECONDS = 5.0
"""Between two looks for a newer epoch."""
CLAIMS_MAX = 8
"""Others may take the next number first, so often."""
EPOCH_BYTES_MAX = 4_096
HOST_FILE = "host.id"

logger = logging.getLogger("steadyd.backup")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch's object says. `at` is in seconds since 1970."""

    number: int
    host: str
    """The id of the host whose it is: not a name, and in no backup."""
    name: str = ""
    at: float = 0.0
    recovers: int = 0
    """The epoch whose data it began with; 0: none."""


class Standing(Enum):
    """What a target's newest epoch is to a host. NEW: the target is empty, or was emptied. OURS: go on. SUPERSEDED:
    another host has recovered ours. FOREIGN: it never was ours."""

    NEW = auto()
    OURS = auto()
    SUPERSEDED = auto()
    FOREIGN = auto()


def standing(own: int, newest: Epoch | None, host: str) -> Standing:
    """`own` is the newest epoch that this host had there, 0 for none; `host` its id."""
    if newest is None:
        return Standing.NEW
    if newest.host == host:
        return Standing.OURS
    return Standing.SUPERSEDED if 0 < own < newest.number else Standing.FOREIGN


class Epochs:
    """The epochs of one target, as seen by one host."""

    def __init__(self, objects: Objects, host: str) -> None:
        self.number = 0
        """Ours; 0 before `settle` or `claim`."""
        self.superseded: SteadyError | None = None
        """Why this host may write nothing more."""
        self.on_superseded: list[Callable[[SteadyError], None]] = []
        """Each is called once, on the event loop; must not block."""
        self._objects = objects
        self._host = host

    def is_ours(self, epoch: Epoch) -> bool:
        return epoch.host == self._host

    async def newest(self) -> Epoch | None:
        """The target's newest epoch; None if it has none.

        Raises:
            SteadyError: `replica_away`, `replica_refused`.
        """
        listed = [layout.epoch_number(entry.key) for entry in await self._objects.list(layout.EPOCHS)]
        numbers = [number for number in listed if number is not None]
        return await self._read(max(numbers)) if numbers else None

    async def claim(self, above: int, now: float, recovers: int = 0) -> Epoch:
        """The next epoch after `above`, created by us and by nobody else.

        Raises:
            SteadyError: `conflict` if others are always faster; `replica_away`, `replica_refused`.
        """
        for number in range(above + 1, above + 1 + CLAIMS_MAX):
            epoch = Epoch(number, self._host, socket.gethostname(), now, recovers)
            if await self._objects.create(layout.epoch(number), _written(epoch)):
                self.number = number
                return epoch
            there = await self._read(number)
            if there is not None and there.host == self._host:  # an attempt of ours whose answer was lost
                self.number = number
                return there
        raise SteadyError("conflict", f"Other hosts are recovering from {self._objects.target} at this moment.")

    async def settle(self, records: Records, now: float) -> None:
        """At the start of a host that has its data: find out which epoch is ours, or that none is any more.

        Raises:
            SteadyError: `cannot_start` where the target is another host's; `replica_away` where it cannot be asked and
                this host never wrote there; `replica_refused`.
        """
        target = str(self._objects.target)
        own = await records.current(target)
        try:
            newest = await self.newest()
        except SteadyError as error:
            if error.code != "replica_away" or not own:
                raise
            self.number = own
            return
        found = standing(own, newest, self._host)
        if found is Standing.FOREIGN:
            assert newest is not None
            raise _foreign(target, newest)
        self.number = own
        if found is Standing.SUPERSEDED:
            assert newest is not None
            self._supersede(newest)
        elif found is Standing.NEW:
            await self.claim(await records.highest(), now)
            await records.add(self.number, target, now)
        elif newest is not None and newest.number != own:
            self.number = newest.number
            await records.add(self.number, target, now)

    async def look(self) -> None:
        """Ask once whether there is a newer epoch than ours. A store that does not answer says nothing of it."""
        with contextlib.suppress(SteadyError):
            if self.superseded is None and (newer := await self._read(self.number + 1)) is not None:
                self._supersede(newer)

    async def run(self) -> None:
        """Look every few seconds, until there is a newer one."""
        while self.superseded is None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    # Private

    async def _read(self, number: int) -> Epoch | None:
        content = await self._objects.get(layout.epoch(number), 0, EPOCH_BYTES_MAX)
        return None if content is None else _read(number, content)

    def _supersede(self, newer: Epoch) -> None:
        self.superseded = _superseded(str(self._objects.target), newer)
        self._objects.sealed = self.superseded
        logger.error(self.superseded.message)
        for tell in self.on_superseded:
            tell(self.superseded)


def farewell() -> SteadyError:
    """What everybody may read of `superseded`, who asks an app or the API."""
    message = "Another host took over from this one, so nothing runs here any more. Its operator knows where to ask."
    return SteadyError("superseded", message, retry_after=60)


def host_id(data: Path) -> str:
    """Who this host is to a backup target: made once, in the data folder, and in no backup.

    Raises:
        SteadyError: `cannot_start` if it can be neither read nor written.
    """
    path = data / HOST_FILE
    try:
        with contextlib.suppress(FileNotFoundError):
            if found := path.read_text().strip():
                return found
        made = secrets.token_hex(16)
        part = path.with_name(f"{HOST_FILE}.part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise SteadyError("cannot_start", f"{path} cannot be used: {error.strerror}. Mend it.") from error
    return made


# Private


def _written(epoch: Epoch) -> bytes:
    said = {"host": epoch.host, "name": epoch.name, "at": epoch.at, "recovers": epoch.recovers}
    return json.dumps(said).encode() + b"\n"


def _read(number: int, content: bytes) -> Epoch:
    """An object that says nothing of use is somebody's all the same."""
    try:
        said = json.loads(content)
        return Epoch(number, str(said["host"]), str(said["name"]), float(said["at"]), int(said["recovers"]))
    except (ValueError, TypeError, KeyError):
        return Epoch(number, "")


def _who(epoch: Epoch) -> str:
    at = datetime.fromtimestamp(epoch.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"“{epoch.name}” since {at}" if epoch.name else "another host"


def _superseded(target: str, newer: Epoch) -> SteadyError:
    message = (
        f"This host is superseded: {target} is {_who(newer)} (epoch {newer.number}), so nothing runs or is written "
        "here. Send its users there. To serve from here again, start with an empty --data, or another --replica."
    )
    return SteadyError("superseded", message, {"epoch": newer.number}, retry_after=60)


def _foreign(target: str, newest: Epoch) -> SteadyError:
    message = (
        f"{target} holds the backups of {_who(newest)} (epoch {newest.number}), and this host has data of its own. "
        "Choose another --replica, or recover that host with an empty --data."
    )
    return SteadyError("cannot_start", message)
