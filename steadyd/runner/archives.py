"""An app as one file, on its way out: its kept versions, what is set of it and, on wish, its data of one moment.

With data the app's turn is taken while that is copied beside the live folder, so that no deploy changes code under the
copy; then the archive is written from the copy, piece by piece, while the app goes on. Values of variables and the
address of notices, which is one, never leave the host.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from steadyd.appfile import (
    FORMAT,
    MANIFEST,
    Git,
    KeptCron,
    KeptData,
    KeptFile,
    KeptVersion,
    Manifest,
    check_data_path,
    fitting,
    written,
)
from steadyd.errors import SteadyError
from steadyd.model import App, Principal, Version
from steadyd.runner.controller import Controller
from steadyd.runner.copies import Copies, Snapshot
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.forks import Past
from steadyd.runner.pack import PIECE_BYTES, Packed, pack_all
from steadyd.settings import to_json

ARCHIVE = "archive"
GZIP_LEVEL = 3
"""Data is large, and somebody waits."""
ARCHIVES_MAX = 16
"""With data, that are sent at once; of one app, one."""
LEFT_OUT_MAX = 1_000
"""Files that are named as left out."""
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Archives:
    """Writes apps as files."""

    def __init__(self, controller: Controller, copies: Copies) -> None:
        self._controller = controller
        self._ground = controller.fleet.ground
        self._copies = copies
        self._sending: set[str] = set()
        """Ids of apps whose data is on its way."""

    @asynccontextmanager
    async def of(
        self, by: Principal, app: App, data: bool, past: Past | None = None
    ) -> AsyncIterator[tuple[Manifest, AsyncIterator[bytes]]]:
        """What is in an app's archive, and its pieces, for as long as the block lasts: with its `data` as it is now, or
        was in the `past`.

        Raises:
            SteadyError: `too_large`, `conflict`, `disk_full`, `overloaded` while one with data is sent already, or past
                ARCHIVES_MAX; what `past` raises.
        """
        live = past.version if past and past.version else app.version
        if not data:
            manifest = await self._manifest(app, live, None)
            yield manifest, self._pieces(manifest, None)
            return
        with self._turn(app):
            place = self._ground.place(app)
            scratch = Place(scratch_path(place, ARCHIVE), place.uid)
            try:
                manifest = await self._manifest(app, live, await self._data(by, app, scratch, past))
                yield manifest, self._pieces(manifest, scratch.app)
            finally:
                await self._ground.trash.throw(scratch.root)

    async def clear(self) -> None:
        """After a start: throw away what was being sent when the last daemon ended."""
        for left in await asyncio.to_thread(lambda: list(self._ground.folder.glob(f"*/scratch/{ARCHIVE}-*"))):
            await self._ground.trash.throw(left)

    # Private

    @contextmanager
    def _turn(self, app: App) -> Iterator[None]:
        """A copy of the data lies on the disk until the last byte is sent, and counts as nobody's."""
        self._ground.check_room()
        if app.id in self._sending or len(self._sending) >= ARCHIVES_MAX:
            said = (
                f"An archive of “{app.name}” is sent already, or {ARCHIVES_MAX} of other apps. Try again in a moment."
            )
            raise SteadyError("overloaded", said, retry_after=5)
        self._sending.add(app.id)
        try:
            yield
        finally:
            self._sending.discard(app.id)

    async def _data(self, by: Principal, app: App, scratch: Place, past: Past | None) -> KeptData:
        async with self._controller.turn(by, app, ARCHIVE) as turn, turn.operation.step("copy") as told:
            if past is not None:
                copied = await past.put_into(scratch)
            else:
                copied = await self._copies.take(self._ground.place(app), scratch, turn.version)
            told["bytes"] = copied.bytes
            return await asyncio.to_thread(_listed, scratch.app, copied)

    async def _manifest(self, app: App, live: int, data: KeptData | None) -> Manifest:
        """What is kept, as far as it fits; versions the oldest first."""
        library = self._ground.library
        numbers = [version.number for version in await library.versions.all(app.id)]
        found = {number: await library.versions.one(app.id, number) for number in numbers}
        versions = {number: version for number, version in found.items() if version is not None}
        if live not in versions:
            gone = f"Version {live}, which was live then, is not kept any more. Choose a later moment."
            raise SteadyError("conflict", gone if live else f"“{app.name}” has no live version. Deploy one first.")
        sizes = {number: {file.sha256: file.size for file in of.files} for number, of in versions.items()}
        kept = [versions[number] for number in sorted(fitting(sizes, live))]
        jobs = [job for job in await library.crons.of(app.id) if job.made]
        blanks = {name: blank.secret for name, blank in (await library.blanks.of(app.id)).items()}
        variables = {name: told.secret for name, told in (await library.environment.shown(app.id)).items()}
        settings = {name: value for name, value in to_json(app.chosen).items() if name != "notify"}
        return Manifest(
            steadyd=FORMAT,
            name=app.name,
            at=_moment(time.time()),
            live=live,
            settings=settings,
            crons=[KeptCron(**asdict(job.cron), enabled=job.enabled) for job in jobs],
            variables=dict(sorted((blanks | variables).items())),
            versions=[_kept(version) for version in kept],
            contents={file.sha256: file.size for version in kept for file in version.files},
            data=data,
        )

    async def _pieces(self, manifest: Manifest, data: Path | None) -> AsyncIterator[bytes]:
        first = await asyncio.to_thread(written, manifest)
        pieces = pack_all(self._entries(first, manifest, data), GZIP_LEVEL)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    def _entries(self, first: bytes, manifest: Manifest, data: Path | None) -> Iterator[Packed]:
        at = int(manifest.at.timestamp())
        yield Packed(MANIFEST, len(first), "", at, first)
        for entry in manifest.entries():
            kept = entry.kept
            source = data / kept.path if kept and data else self._ground.blobs.path(entry.sha256)
            yield Packed(entry.path, entry.size, entry.sha256, at, source, kept.mode if kept else 0o644)


# Private


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _kept(version: Version) -> KeptVersion:
    commit = version.origin.commit
    return KeptVersion(
        version=version.number,
        entry=version.entry,
        source=version.origin.source,
        message=version.origin.message,
        git=Git(commit=commit.id, remote=commit.remote, dirty=commit.dirty) if commit else None,
        remix_of=version.origin.of,
        bun=version.bun,
        pinned=version.pinned,
        author=version.author,
        created_at=_moment(version.created_at),
        live_at=None if version.live_at is None else _moment(version.live_at),
        files={file.path: file.sha256 for file in version.files},
    )


def _listed(folder: Path, copied: Snapshot) -> KeptData:
    """What lies in a copy, in which nothing moves any more, with its hashes. Blocks."""
    files: list[KeptFile] = []
    left_out = dict(copied.left_out)
    pending = [""]
    while pending:
        inner = pending.pop()
        for entry in os.scandir(folder / inner):
            path = f"{inner}/{entry.name}".lstrip("/")
            try:
                check_data_path(path)
            except (SteadyError, UnicodeError):
                left_out[path] = "its path is no text, or too long"
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif entry.is_file(follow_symlinks=False):
                files.append(_file(folder, path, copied.databases.get(path)))
    named = sorted((_text(path), reason) for path, reason in left_out.items())[:LEFT_OUT_MAX]
    return KeptData(at=_moment(copied.at), files=sorted(files, key=lambda file: file.path), left_out=dict(named))


def _file(folder: Path, path: str, at: float | None) -> KeptFile:
    digest, size = hashlib.sha256(), 0
    with open(os.open(folder / path, PLAIN), "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    moment = None if at is None else _moment(at)
    return KeptFile(path=path, bytes=size, sha256=digest.hexdigest(), mode=mode, at=moment)


def _text(path: str) -> str:
    """The app chose it, and it may be no text."""
    return path.encode("utf-8", "replace").decode()[:200]
