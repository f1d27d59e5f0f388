"""What changed in an app's database between two moments, and rows of an earlier one brought back into the live one: the
past is a restored copy (`past`), a child compares it and writes (runner/comparison.py), and before it writes there is a
restore point (runner/writing.py)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.backup.past import Past, Seen
from steadyd.backup.when import When
from steadyd.model import App, Principal
from steadyd.moment import Point
from steadyd.runner.comparison import Brought, Changes, Comparison, Page, Wish
from steadyd.runner.controller import Turn
from steadyd.runner.writing import How, Writing


@dataclass(frozen=True, slots=True)
class Side:
    """A moment as it really is, seconds since 1970: nothing written up to `at` is missing, and what was written within
    `precision` seconds after it may be. `point` is the restore point that was asked for, if it was one."""

    at: float
    precision: float = 0.0
    point: int | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """The earlier moment and the later one. The live database is of now."""

    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class Back:
    """What came of bringing rows back. `point` is the restore point of what was before; None where nothing is kept."""

    side: Side
    brought: Brought
    point: Point | None


class Changed:
    """Looks at apps' databases as they were, and at what became of them. `when` None is the live database."""

    def __init__(
        self, past: Past, comparison: Comparison, writing: Writing, now: Callable[[], float] = time.time
    ) -> None:
        self._past = past
        self._comparison = comparison
        self._writing = writing
        self._now = now

    async def counts(self, app: App, file: str, before: When, after: When | None) -> tuple[Sides, Changes]:
        """Everything that differs, in counts.

        Raises:
            SteadyError: as `Past.look` and `Comparison.changes` say.
        """
        async with self._between(app, file, before, after) as (sides, old, new):
            return sides, await self._comparison.changes(app, file, old, new)

    async def page(
        self, app: App, file: str, moments: tuple[When, When | None], table: str, place: str = ""
    ) -> tuple[Sides, Page]:
        """Rows of one table that differ.

        Raises:
            SteadyError: as `Past.look` and `Comparison.page` say.
        """
        async with self._between(app, file, *moments) as (sides, old, new):
            return sides, await self._comparison.page(app, file, old, new, table, place)

    async def bring_back(
        self,
        by: Principal,
        app: App,
        file: str,
        before: When,
        wish: Wish,
        slot: Callable[[], AbstractAsyncContextManager[None]],
    ) -> Back:
        """Rows as they were, into the live database; `slot` is had while a child writes.

        Raises:
            SteadyError: as `Past.look` and `Comparison.bring_back` say; then nothing was written.
        """
        async with self._past.look(app, file, before) as seen:

            async def work(turn: Turn) -> dict[str, Any]:
                async with slot():
                    return {"brought": await self._comparison.bring_back(turn.app, file, seen.path, wish)}

            tables = ", ".join(f"“{table}”" for table in wish.tables)
            said = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seen.part.at))
            note = f"Rows of {tables} brought back from {said} UTC"
            written = await self._writing.write(by, app, work, How(note))
        return Back(_side(seen), written.answer["brought"], written.point)

    # Private

    @asynccontextmanager
    async def _between(
        self, app: App, file: str, before: When, after: When | None
    ) -> AsyncIterator[tuple[Sides, Path, Path | None]]:
        async with self._past.look(app, file, before) as old:
            if after is None:
                yield Sides(_side(old), Side(self._now())), old.path, None
            else:
                async with self._past.look(app, file, after) as new:
                    yield Sides(_side(old), _side(new)), old.path, new.path


def _side(seen: Seen) -> Side:
    return Side(seen.part.at, seen.part.precision, seen.aim.point.id if seen.aim.point else None)
