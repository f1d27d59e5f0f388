"""Forks: another app that begins as this one is now, or was at an earlier moment, and goes its own way from there.

It has the code of the version that was live, the settings, the variables and the data. One operation on the original:
until it is committed the fork has no live version, and an app without one is forgotten whatever ends the operation. The
original serves on meanwhile. Nothing of the fork runs before somebody asks for it, and its crons are off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from steadyd.crontab import CRONS_MAX
from steadyd.errors import SteadyError
from steadyd.model import App, Choices, Cron, Draft, Event, Kind, Origin, Principal, Version
from steadyd.moment import Mark, PointKind
from steadyd.records.apps import choosing, going_live
from steadyd.records.blanks import leaving
from steadyd.records.crons import enabling, putting
from steadyd.records.points import adding
from steadyd.records.versions import went_live
from steadyd.runner.bundle import share
from steadyd.runner.controller import Controller, Turn
from steadyd.runner.copies import Copies, Snapshot
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.handover import hand_over
from steadyd.runner.household import Household
from steadyd.runner.positions import databases, positions
from steadyd.runner.removal import Removal
from steadyd.store import Write
from steadyd.variables import UNCHANGED, Change

FORK = "fork"
TOLD_MAX = 10
"""Files that were left out and are told one by one."""


class Past(Protocol):
    """An app as it was at an earlier moment, as whoever keeps its data has it."""

    @property
    def mark(self) -> Mark:
        """Where everything stood then."""

    @property
    def version(self) -> int:
        """The version that was live then; 0 where that is not known."""

    async def put_into(self, place: Place) -> Snapshot:
        """Have the data of that moment in `place.app`, a new folder that belongs to the place's uid.

        Raises:
            SteadyError: why it cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Forked:
    """The new app, and the moment that its data is of, in seconds since 1970. `notes` are sentences for the user."""

    app: App
    at: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a fork has besides code and data. `blanks` are names without values, with whether each is secret."""

    chosen: Choices
    variables: Change
    blanks: Mapping[str, bool]
    shipped: Sequence[Cron]
    """Crons of its version's own file."""
    made: Sequence[Cron]
    """Crons that its original's owner made."""

    def writes(self, app: App, now: float) -> list[Write]:
        """Its crons are off: two apps that send the same reminders are one too many."""
        off = [enabling(app.id, cron.id, False) for cron in self.shipped]
        off += [putting(app.id, cron, False, CRONS_MAX) for cron in self.made]
        return [choosing(app.id, lambda _: self.chosen), leaving(app.id, self.blanks, now), *off]

    def notes(self, name: str) -> list[str]:
        """What its owner may have to do."""
        told, crons = [], sorted({cron.id for cron in (*self.shipped, *self.made)})
        if self.blanks:
            names = ", ".join(self.blanks)
            told.append(f"These variables have no value yet: {names}. Set them: steadyd env {name} set NAME=…")
        if crons:
            told.append(f"Its crons are off: {', '.join(crons)}. Turn one on: steadyd crons {name} on {crons[0]}")
        return told


class Forks:
    """Forks apps."""

    def __init__(self, controller: Controller, copies: Copies, removal: Removal, household: Household) -> None:
        self._controller = controller
        self._fleet = controller.fleet
        self._ground = controller.fleet.ground
        self._copies = copies
        self._removal = removal
        self._household = household

    async def fork(self, by: Principal, app: App, name: str, past: Past | None = None) -> Forked:
        """A new app of `by`'s, from `app` as it is now, or as it was in the `past`.

        Raises:
            SteadyError: `invalid_name`, `name_taken`, `app_limit`, `disk_full`, `secrets_locked`, `not_found` where the
                version that was live then is not kept; what the copy or `past` raises. Nothing is kept.
        """
        self._ground.check_room()
        work = self._fork(by, app, name, past)
        return await self._controller.operations.to_the_end(self._removal.shelf.tidied(work))

    # Private

    async def _fork(self, by: Principal, app: App, name: str, past: Past | None) -> Forked:
        async with self._controller.turn(by, app, FORK) as turn:
            version = await self._version(turn, past)
            made = await self._ground.apps.create(name, by, by.kind is Kind.GUEST, time.time())
            try:
                forked = await self._fill(turn, made, version, past, by)
            except BaseException:
                await self._removal.forget(made)
                raise
        await self._fleet.add(forked.app)
        await self._fleet.publish_routes()
        self._fleet.note(app.id, Event(time.time(), FORK, f"Forked by {by.name}: {name}."))
        self._fleet.note(made.id, Event(time.time(), FORK, f"Forked from {app.name} by {by.name}."))
        return forked

    async def _fill(self, turn: Turn, made: App, version: Version, past: Past | None, by: Principal) -> Forked:
        """Everything, and the commit."""
        operation, library = turn.operation, self._ground.library
        mark = past.mark if past is not None else await self._fleet.keeper.mark(turn.app)
        async with operation.step("copy") as told:
            copied = await self._data(turn, made, past, by)
            told["bytes"] = copied.bytes
        async with operation.step("stage"), self._removal.shelf.kept():
            crons = await library.crons.said_by(turn.app.id, version.number)
            origin = Origin(FORK, version.origin.message, version.origin.commit, turn.app.name)
            wishes = (version.shipped, version.bun, crons)
            draft = Draft(version.entry, origin, version.files, version.modules, *wishes)
            staged = await library.versions.add(made, by, draft, time.time())
            await self._ground.restore(made, staged)
            places = (self._ground.place(turn.app), self._ground.place(made))
            await asyncio.to_thread(share, places[0], version, places[1], staged, self._ground.starter.engine)
        with_it = await self._belongings(turn.app, version, past, by)
        now, folder = time.time(), self._ground.place(made).app
        stood = await asyncio.to_thread(lambda: positions(folder, databases(folder)))
        await operation.commit(
            library.environment.change(made.id, with_it.variables, by, now),
            going_live(made, staged.number, now, self._ground.apps.terms),
            went_live(made.id, staged.number, now, lambda: stood),
            library.environment.went_live(made.id, staged.number),
            *with_it.writes(made, now),
            *_pointing(turn, version, made, mark),
        )
        self._fleet.keeper.pointed()
        app = await self._ground.apps.by_id(made.id) or made
        return Forked(app, copied.at, (*with_it.notes(made.name), *_left(copied)))

    async def _version(self, turn: Turn, past: Past | None) -> Version:
        if past is None or not past.version:  # where that is not known, what is live has the last word
            return turn.version
        version = await self._ground.versions.one(turn.app.id, past.version)
        if version is None:
            said = f"Version {past.version}, which was live then, is not kept any more. Choose a later moment."
            raise SteadyError("not_found", said, {"version": past.version})
        return version

    async def _data(self, turn: Turn, made: App, past: Past | None, by: Principal) -> Snapshot:
        """The data in the fork's own folder. It is copied beside the original's, whose uid does it."""
        place, target = self._ground.place(turn.app), self._ground.place(made)
        scratch = Place(scratch_path(place, FORK), place.uid)
        try:
            copied = await (past.put_into(scratch) if past else self._copies.take(place, scratch, turn.version))
            await self._household.check_bytes(by, copied.bytes)
            turn.operation.cancellable = False  # a thread goes on where its task is cut
            await asyncio.to_thread(hand_over, scratch.app, target)
        finally:
            await self._ground.trash.throw(scratch.root)
        return copied

    async def _belongings(self, app: App, version: Version, past: Past | None, by: Principal) -> Belongings:
        """Values go to the same owner only; so does the address of notices, which is one."""
        library = self._ground.library
        made = [job.cron for job in await library.crons.of(app.id) if job.made]
        crons = (await library.crons.said_by(app.id, version.number), made)
        blanks = {name: blank.secret for name, blank in (await library.blanks.of(app.id)).items()}
        if by.id != app.owner_id:
            blanks |= {name: told.secret for name, told in (await library.environment.shown(app.id)).items()}
            return Belongings(replace(app.chosen, notify=None), UNCHANGED, blanks, *crons)
        variables = await self._variables(app, version, past)
        return Belongings(app.chosen, variables, blanks, *crons)

    async def _variables(self, app: App, version: Version, past: Past | None) -> Change:
        """Those of the moment; where they are not kept any more, those of now."""
        environment = self._ground.library.environment
        if past is not None and version.number != app.version:
            try:
                return await environment.back_to(app.id, version.number)
            except SteadyError as error:
                if error.code != "not_found":
                    raise
        return await environment.back_to(app.id, None)


# Private


def _pointing(turn: Turn, version: Version, made: App, mark: Mark | None) -> list[Write]:
    """The moment that the fork began with stays reachable."""
    if mark is None:
        return []
    return [adding(turn.operation.point(PointKind.FORK, mark, version.number, f"Forked as {made.name}."))]


def _left(copied: Snapshot) -> list[str]:
    told = [f"“{path}” is not in it as it was: {reason}." for path, reason in copied.left_out.items()]
    return told[:TOLD_MAX] + ([f"And {len(told) - TOLD_MAX} more."] if len(told) > TOLD_MAX else [])
