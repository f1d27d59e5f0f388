"""The crons of an app that runs in its developer's own folder, while it does: what its file says now, fired at its
moment. No records: nothing is tried again, and of what passed while the laptop slept, the last is fired once."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.manifest import OWN_FILE, PACKAGE, read_manifest
from steadyd.model import Cron, Kind
from steadyd.records.crons import Result
from steadyd.runner.errand import Errand
from steadyd.schedule import parse
from steadyd.settings import Policy

LOOK_SECONDS_MAX = 2.0
"""After this the file is read again."""
FILE_BYTES_MAX = 10 << 20


class Clock:
    """Looks at the crons in `folder`, and has `fire` ask the app. `say` takes lines for its log, `now` is the wall
    clock."""

    def __init__(
        self,
        app_id: str,
        folder: Path,
        fire: Callable[[Errand], Awaitable[Result]],
        say: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app_id = app_id
        self._folder = folder
        self._fire = fire
        self._say = say
        self._now = now
        self._told = ""
        self._runs: dict[str, asyncio.Task[Result]] = {}
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """The loop; cancelled at the end."""
        last = self._now()
        try:
            while True:
                crons, now = self._crons(), self._now()
                for cron in crons:
                    self._look(cron, last, now)
                last = now
                coming = [_after(cron, now) - now for cron in crons]
                await asyncio.sleep(min([*coming, LOOK_SECONDS_MAX]))
        finally:
            for run in self._runs.values():
                run.cancel()
            await asyncio.gather(*self._runs.values(), return_exceptions=True)

    # Private

    def _look(self, cron: Cron, last: float, now: float) -> None:
        """Fire it, if a moment of it has come since `last`."""
        moment = _after(cron, last)
        if moment > now:
            return
        while (following := _after(cron, moment)) <= now:
            moment = following
        if (run := self._runs.get(cron.id)) is not None and not run.done():
            self._say(f"Cron “{cron.id}” is skipped: the run before it is not over.")
            return
        errand = Errand(self._app_id, cron, moment, 1, next(self._numbers))
        self._runs[cron.id] = asyncio.ensure_future(self._fire(errand))

    def _crons(self) -> tuple[Cron, ...]:
        """What the file says now; a mistake in it is told once."""
        tree = {name: content for name in (PACKAGE, OWN_FILE) if (content := _read(self._folder / name)) is not None}
        try:
            crons = read_manifest(tree, Policy(), Kind.OPERATOR).crons
            told = ", ".join(f"{cron.id} ({cron.schedule})" for cron in crons) or "none yet"
            self._tell(f"Crons: {told}")
            return crons
        except SteadyError as error:
            self._tell(f"No crons: {error.message}")
            return ()

    def _tell(self, said: str) -> None:
        if said != self._told:
            self._told = said
            self._say(said)


# Private


def _after(cron: Cron, moment: float) -> float:
    return parse(cron.schedule, cron.timezone).after(moment)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError:
        return None
