"""A replica that is a folder of plain files, for tests of what is done with moments once they are there."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

from steadyd.backup.aims import Aim, Part
from steadyd.backup.when import At, AtPoint, When
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Line, Mark, Point, PointKind, PointState
from steadyd.runner.folder import Place


class Files:
    """One file for each transaction: moment 7 is the file “7”, and so is restore point 7. `brought` counts."""

    def __init__(self, folder: Path, file: str = "data.sqlite") -> None:
        self.folder = folder
        self.file = file
        self.brought = 0
        self.fails = False

    def add(self, txid: int, sql: str = "CREATE TABLE t (a)") -> Path:
        database = sqlite3.connect(self.folder / str(txid))
        database.executescript(sql)
        database.close()
        return self.folder / str(txid)

    async def at(self, app: App, when: When) -> Aim:
        number = int(when.time if isinstance(when, At) else when.point if isinstance(when, AtPoint) else when.version)
        if not (self.folder / str(number)).exists():
            raise SteadyError("not_reachable", "There is no such moment.")
        part = Part(self.file, Line(1, app.id, self.file, 1, 0.0), number, float(number), 1.5)
        aim = Aim(number, (part,), "", 0.0)
        if not isinstance(when, AtPoint):
            return aim
        point = Point(number, app.id, PointKind.MANUAL, Mark(number), "", "", 1, None, PointState.PINNED)
        return replace(aim, point=point)

    async def restore(self, part: Part, place: Place) -> int:
        await asyncio.sleep(0)
        target = place.app / part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / str(part.txid), target)
        target.chmod(0o644)
        if self.fails:
            raise SteadyError("backup_broken", "it is damaged")
        self.brought += 1
        return target.stat().st_size
