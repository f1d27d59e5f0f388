"""An app from one file, made here: its versions in their order, the live one live, its settings as far as this host
allows them, its data where it is an app's first.

The file was checked whole before; it is read once more to unpack it. Everything goes into an app without a live
version, which is forgotten whatever goes wrong; there is no trial, since there is nothing yet that one would protect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from steadyd.appfile import AppFile, KeptVersion, Manifest
from steadyd.crontab import CRONS_MAX, read_cron
from steadyd.errors import SteadyError
from steadyd.manifest import OWN_FILE, PACKAGE, read_manifest
from steadyd.manifest import Manifest as Asked
from steadyd.model import App, Choices, Commit, Draft, File, Kind, Origin, Principal
from steadyd.quantity import written_size
from steadyd.records.apps import choosing
from steadyd.records.blanks import leaving
from steadyd.records.crons import enabling, putting
from steadyd.records.versions import PINNED_PER_APP_MAX, Brought
from steadyd.runner.controller import Turn
from steadyd.runner.deploy import CREATE, Deployed, Deployer, Manner, Request
from steadyd.runner.folder import Place, make_root, scratch_path
from steadyd.runner.ground import Ground
from steadyd.runner.handover import hand_over, put, settle
from steadyd.runner.household import Household
from steadyd.runner.install import Installer
from steadyd.runner.removal import Removal
from steadyd.runner.reserve import is_full
from steadyd.settings import Policy, change
from steadyd.store import Write
from steadyd.tree import Tree
from steadyd.variables import check_name

ARRIVAL = "arrival"
ANYTHING = Policy()
"""A host without ceilings."""


@dataclass(slots=True)
class Arrival:
    """An app on its way in. `notes` are sentences for the user."""

    by: Principal
    manifest: Manifest
    file: BinaryIO
    notes: list[str] = field(default_factory=list)

    @property
    def data_bytes(self) -> int:
        return sum(file.bytes for file in self.manifest.data.files) if self.manifest.data else 0


class Arrivals:
    """Makes apps from files."""

    def __init__(
        self, ground: Ground, deployer: Deployer, installer: Installer, removal: Removal, household: Household
    ) -> None:
        self._ground = ground
        self._deployer = deployer
        self._installer = installer
        self._removal = removal
        self._household = household

    async def create(self, arrival: Arrival, name: str, temporary: bool) -> Deployed:
        """A new app that answers.

        Raises:
            SteadyError: `name_taken`, `app_limit`, `too_large`, `disk_full`, `deploy_failed`; nothing is kept.
        """
        size = sum(arrival.manifest.contents.values()) + arrival.data_bytes
        await self._household.check_bytes(arrival.by, size)
        deployed = await self._deployer.bring(arrival.by, name, temporary, lambda turn: self._unpack(turn, arrival))
        return replace(deployed, notes=(*deployed.notes, *arrival.notes))

    async def data_into(self, arrival: Arrival, app: App, scratch: Place) -> None:
        """The data alone, beside an app that is there, in `scratch.app`.

        Raises:
            SteadyError: `too_large`, `disk_full`.
        """
        self._fit(arrival, app.chosen, app.shipped)
        await self._household.check_bytes(arrival.by, arrival.data_bytes)
        make_root(scratch)
        await self._take_all(arrival, scratch, contents=False)
        await asyncio.to_thread(settle, scratch.app, scratch.uid)

    # Private

    async def _unpack(self, turn: Turn, arrival: Arrival) -> Request:
        """Files, data, versions and what is set; nothing runs."""
        app, operation, library = turn.app, turn.operation, self._ground.library
        async with self._removal.shelf.kept():
            async with operation.step("unpack"):
                operation.cancellable = False  # a thread goes on where its task is cut
                await self._files(self._ground.place(app), arrival)
                operation.cancellable = True
            async with operation.step("stage"):
                versions = [await self._brought(turn, arrival, version) for version in arrival.manifest.versions]
                live = next(one for one in versions if one.number == arrival.manifest.live)
                chosen = _chosen(arrival)
                self._fit(arrival, chosen, live.draft.shipped)
                await library.versions.bring(app, arrival.by, versions)
                now = arrival.manifest.at.timestamp()
                await library.apps.write(
                    choosing(app.id, lambda _: chosen),
                    leaving(app.id, _names(arrival), now),
                    *_crons(app.id, arrival, live.draft),
                )
        version = await library.versions.one(app.id, live.number)
        assert version is not None
        return Request(arrival.by, CREATE, version.origin, version=version, manner=Manner(trial=False))

    async def _files(self, place: Place, arrival: Arrival) -> None:
        """Contents to where all are, data into the app's own folder."""
        scratch = Place(scratch_path(place, ARRIVAL), place.uid)
        try:
            await self._take_all(arrival, scratch)
            await asyncio.to_thread(hand_over, scratch.app, place)
        finally:
            await self._ground.trash.throw(scratch.root)

    async def _take_all(self, arrival: Arrival, scratch: Place, contents: bool = True) -> None:
        scratch.app.mkdir(parents=True)
        try:
            await asyncio.to_thread(self._take, arrival.file, scratch.app, contents)
        except OSError as error:
            if not is_full(error):
                raise
            raise SteadyError("disk_full", "The server's disk is full. Nothing is changed.") from error

    def _take(self, file: BinaryIO, folder: Path, contents: bool) -> None:
        for entry, content in AppFile(file, self._ground.apps.policy.tree).contents():
            if entry.kept is not None:
                put(folder, entry.kept.path, content, entry.kept.mode)
            elif contents:
                self._ground.blobs.take(entry.sha256, content)

    async def _brought(self, turn: Turn, arrival: Arrival, version: KeptVersion) -> Brought:
        sizes = arrival.manifest.contents
        files = tuple(File(path, address, sizes[address]) for path, address in sorted(version.files.items()))
        tree = {file.path: await asyncio.to_thread(self._ground.blobs.get, file.sha256) for file in files}
        is_live = version.version == arrival.manifest.live
        asked, key = await self._needs(turn, tree, arrival.by.kind, is_live)
        commit = Commit(version.git.commit, version.git.remote, version.git.dirty) if version.git else None
        origin = Origin(version.source, version.message, commit, version.remix_of)
        draft = Draft(version.entry, origin, files, key, asked.choices, version.bun, asked.crons)
        was = version.live_at or version.created_at
        pinned = sum(one.pinned for one in arrival.manifest.versions if one.version <= version.version)
        return Brought(
            version.version,
            draft,
            version.created_at.timestamp(),
            None if is_live else was.timestamp(),
            version.pinned and pinned <= PINNED_PER_APP_MAX,
        )

    async def _needs(self, turn: Turn, tree: Tree, kind: Kind, is_live: bool) -> tuple[Asked, str]:
        """What a version's own file asks for, and the key of its dependencies. An old version that could not be
        deployed any more is kept all the same: going back to it will say why."""
        own = {path: tree[path] for path in (PACKAGE, OWN_FILE) if path in tree}
        try:
            asked = read_manifest(own, ANYTHING, Kind.USER)
            return asked, await self._installer.key_of(self._ground.place(turn.app), tree)
        except SteadyError:
            if is_live:
                raise
            return Asked(), ""

    def _fit(self, arrival: Arrival, chosen: Choices, shipped: Choices) -> None:
        """Tell what counts as less here.

        Raises:
            SteadyError: `too_large` for data that the app may not have.
        """
        policy, kind = self._ground.apps.policy, arrival.by.kind
        lower = policy.lowered(chosen, shipped, kind)
        arrival.notes += [f"{'; '.join(lower)}: that is the most on this server."] if lower else []
        size, most = arrival.data_bytes, policy.settings(chosen, shipped, kind).limits.disk_bytes
        if 0 < most < size:
            said = f"The data takes {written_size(size)}, and an app of yours may have {written_size(most)} here."
            raise SteadyError("too_large", said, {"bytes": size, "limit_bytes": most})


# Private


def _chosen(arrival: Arrival) -> Choices:
    """What its owner had set, but for what this server does not know or allow."""
    chosen = Choices()
    for name, value in arrival.manifest.settings.items():
        try:
            chosen = change(chosen, {name: value}) if name != "notify" else chosen
        except SteadyError as error:
            arrival.notes.append(f"A setting was not taken over. {error.message}")
    return chosen


def _names(arrival: Arrival) -> Mapping[str, bool]:
    """The variables that have no value here."""
    names = {check_name(name): secret for name, secret in arrival.manifest.variables.items()}
    if names:
        arrival.notes.append(f"These variables have no value yet: {', '.join(names)}. Set them: steadyd env NAME set …")
    return names


def _crons(app_id: str, arrival: Arrival, live: Draft) -> list[Write]:
    """All of them off: the app may still be running where it comes from."""
    made = [
        read_cron({key: value for key, value in msgspec.to_builtins(cron).items() if key != "enabled" and value})
        for cron in arrival.manifest.crons
    ]
    ids = sorted({cron.id for cron in (*made, *live.crons)})
    if ids:
        arrival.notes.append(f"Its crons are off: {', '.join(ids)}. Turn one on: steadyd crons NAME on {ids[0]}")
    off = [enabling(app_id, cron.id, False) for cron in live.crons]
    return [*off, *(putting(app_id, cron, False, CRONS_MAX) for cron in made)]
