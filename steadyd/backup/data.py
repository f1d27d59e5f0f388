"""The data of a moment in a folder of its own: the databases restored, the other files put back. For a restore, a fork,
and whoever else begins with what was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from steadyd.backup.aims import Aim, Part
from steadyd.backup.chain import Restored
from steadyd.model import App
from steadyd.moment import Line, Mark, Stand
from steadyd.runner.copies import Snapshot
from steadyd.runner.folder import FOLDER_MODE, Place, make_root


class Written(Protocol):
    """Keeps the files that are no databases, and brings them back."""

    async def capture(self, app: App) -> object:
        """All of them as they are now: kept, here until they are kept elsewhere, before it returns."""

    async def put_back(self, manifest: str, place: Place) -> int:
        """How many there are."""


class Databases(Protocol):
    """Brings databases back, proven whole (`backup/chain.py`)."""

    async def restore(self, line: Line, txid: int, target: Path, place: Place, pinned: bool = False) -> Restored: ...


@dataclass(frozen=True, slots=True)
class Data:
    """Where the data of every moment comes from."""

    chain: Databases
    files: Written

    async def put_into(self, aim: Aim, place: Place, told: Callable[[str], None] = lambda said: None) -> Snapshot:
        """In `place.app`, which is made if it is not there and belongs to the place's uid. `told` hears how far it is.

        Raises:
            SteadyError: `backup_broken` with what is missing or damaged, `replica_away`, `disk_full`.
        """
        make(place)
        size = 0
        for part in aim.databases:
            told(f"“{part.path}”")
            size += await self.restore(part, place)
        if aim.manifest:
            told("other files")
            await self.files.put_back(aim.manifest, place)
        return Snapshot(aim.at, size, {part.path: part.at for part in aim.databases})

    async def restore(self, part: Part, place: Place) -> int:
        """One database, at its path in `place.app`; returns its size in bytes. Raises as `put_into`."""
        _make_parents(place, part.path)
        target = place.app / part.path
        return (await self.chain.restore(part.line, part.txid, target, place, part.pinned)).bytes


@dataclass(frozen=True, slots=True)
class Former:
    """An app as it was at the moment of an aim: what a fork begins with."""

    data: Data
    aim: Aim

    @property
    def mark(self) -> Mark:
        stands = tuple(Stand(part.path, part.line.id, part.txid) for part in self.aim.databases)
        return Mark(self.aim.at, stands, self.aim.manifest, self.aim.files_at)

    @property
    def version(self) -> int:
        return self.aim.version

    async def put_into(self, place: Place) -> Snapshot:
        return await self.data.put_into(self.aim, place)


def make(place: Place) -> None:
    """A folder beside the app's own, for data that is brought back."""
    make_root(place)
    place.app.mkdir(exist_ok=True)
    place.app.chmod(FOLDER_MODE)
    if place.uid is not None:
        os.chown(place.app, 0, place.uid)


# Private


def _make_parents(place: Place, path: str) -> None:
    """The folders that a database lay in, the app's own. Nobody else writes here yet."""
    folder = place.app
    for name in path.split("/")[:-1]:
        folder /= name
        folder.mkdir(exist_ok=True)
        if place.uid is not None:
            os.chown(folder, place.uid, place.uid)
