"""Versions and their file lists in steady.db: immutable snapshots, numbered per app."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass

from steadyd.errors import SteadyError
from steadyd.model import App, Commit, Draft, File, Origin, Position, Principal, Version
from steadyd.records.crons import add_to_version
from steadyd.settings import from_json, to_json
from steadyd.store import Connection, Database, Row, Write, one

LOCK = "bun.lock"
COLUMNS = (
    "v.app_id, v.number, v.entry, v.source, v.message, v.git, v.remix_of, v.created_at, v.author_id, v.modules, "
    "v.settings, v.bun, v.pinned, v.live_at, v.positions, coalesce(p.name, ''), "
    "coalesce((SELECT f.sha256 FROM version_files f WHERE f.app_id = v.app_id AND f.number = v.number "
    f"AND f.path = '{LOCK}'), '')"
)
LIVE_LAST_KEPT = 10
"""Versions that went live last, by whatever way: what one goes back to."""
PINNED_PER_APP_MAX = 100
BEYOND = (
    "app_id = ?1 AND number NOT IN (SELECT version FROM apps WHERE id = ?1) "
    "AND number NOT IN (SELECT number FROM versions WHERE app_id = ?1 AND pinned) "
    "AND number NOT IN (SELECT number FROM versions WHERE app_id = ?1 ORDER BY number DESC LIMIT ?2) "
    "AND number NOT IN (SELECT number FROM versions WHERE app_id = ?1 AND live_at IS NOT NULL "
    "ORDER BY live_at DESC, number DESC LIMIT ?3)"
)
FROM = "FROM versions v LEFT JOIN principals p ON p.id = v.author_id"


@dataclass(frozen=True, slots=True)
class Brought:
    """A version from elsewhere. `live_at` is None of one that is about to go live; the others are kept as they were."""

    number: int
    draft: Draft
    created_at: float
    live_at: float | None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A version without its file list, but with how many files and bytes those are."""

    version: Version
    files: int
    bytes: int


class Versions:
    """What each app's code was and is. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, app: App, author: Principal, draft: Draft, now: float) -> Version:
        """A new immutable version; it is not live yet."""

        def write(db: Connection) -> Version:
            row = one(db, "SELECT coalesce(max(number), 0) + 1 FROM versions WHERE app_id = ?", (app.id,))
            assert row is not None
            _insert(db, (app.id, row[0]), author, draft, now)
            version = _version(db, app.id, row[0])
            assert version is not None
            add_to_version(db, app.id, row[0], draft.crons)
            return version

        return await self._database.write(write)

    async def bring(self, app: App, author: Principal, brought: Sequence[Brought]) -> None:
        """Versions from elsewhere, under their own numbers, into an app that has none."""

        def write(db: Connection) -> None:
            for was in brought:
                _insert(db, (app.id, was.number), author, was.draft, was.created_at)
                add_to_version(db, app.id, was.number, was.draft.crons)
                sql = "UPDATE versions SET live_at = ?, pinned = ? WHERE app_id = ? AND number = ?"
                db.execute(sql, (was.live_at, was.pinned, app.id, was.number))

        await self._database.write(write)

    async def one(self, app_id: str, number: int) -> Version | None:
        return await self._database.read(lambda db: _version(db, app_id, number))

    async def all(self, app_id: str) -> list[Version]:
        """All versions, newest first, without their file lists."""
        sql = f"SELECT {COLUMNS} {FROM} WHERE v.app_id = ? ORDER BY v.number DESC"
        return await self._database.read(lambda db: [_from_row(row, ()) for row in db.execute(sql, (app_id,))])

    async def page(self, app_id: str, below: int, limit: int) -> list[Listed]:
        """The newest versions whose numbers lie below `below`."""
        of = "FROM version_files f WHERE f.app_id = v.app_id AND f.number = v.number"
        sql = (
            f"SELECT {COLUMNS}, (SELECT count(*) {of}), (SELECT coalesce(sum(f.size), 0) {of}) {FROM} "
            "WHERE v.app_id = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?"
        )
        values = (app_id, below, limit)
        return await self._database.read(
            lambda db: [Listed(_from_row(row, ()), row[-2], row[-1]) for row in db.execute(sql, values)]
        )

    async def before(self, app_id: str, number: int) -> int:
        """The number of the version that is kept and came before `number`; 0 if there is none."""
        sql = "SELECT max(number) FROM versions WHERE app_id = ? AND number < ?"
        found = await self._database.read(lambda db: one(db, sql, (app_id, number)))
        return int(found[0] or 0) if found else 0

    async def drop_never_live(self, app_id: str) -> None:
        """A version exists only if it went live: what failed or was interrupted leaves none."""
        sql = (
            "DELETE FROM versions WHERE app_id = ?1 AND live_at IS NULL "
            "AND number NOT IN (SELECT version FROM apps WHERE id = ?1)"
        )
        await self._database.write(lambda db: db.execute(sql, (app_id,)))

    async def pin(self, app_id: str, number: int, pinned: bool) -> None:
        """Keep a version whatever comes after it, or no longer.

        Raises:
            SteadyError: `conflict` past PINNED_PER_APP_MAX.
        """

        def write(db: Connection) -> None:
            sql = "SELECT count(*) FROM versions WHERE app_id = ? AND pinned AND number <> ?"
            row = one(db, sql, (app_id, number))
            if pinned and row is not None and row[0] >= PINNED_PER_APP_MAX:
                raise SteadyError("conflict", f"{PINNED_PER_APP_MAX} versions are pinned already. Unpin one first.")
            db.execute("UPDATE versions SET pinned = ? WHERE app_id = ? AND number = ?", (pinned, app_id, number))

        await self._database.write(write)

    async def retire(self, app_id: str, kept: int) -> set[str]:
        """Let versions go beyond the newest `kept` (0: none), except the live one, those that were live last, and the
        pinned ones. Returns the addresses of their contents."""

        def write(db: Connection) -> set[str]:
            contents = {row[0] for row in db.execute(f"SELECT sha256 FROM version_files WHERE {BEYOND}", values)}
            db.execute(f"DELETE FROM versions WHERE {BEYOND}", values)
            return contents

        values = (app_id, kept, LIVE_LAST_KEPT)
        sql = f"SELECT 1 FROM versions WHERE {BEYOND} LIMIT 1"
        if not kept or not await self._database.read(lambda db: one(db, sql, values)):
            return set()
        return await self._database.write(write)

    async def contents_of(self, owner_id: str) -> dict[str, int]:
        """Address → bytes of every content that a version of one owner's apps needs, deleted apps included."""
        sql = (
            "SELECT DISTINCT f.sha256, f.size FROM version_files f JOIN apps a ON a.id = f.app_id WHERE a.owner_id = ?"
        )
        return await self._database.read(lambda db: {str(row[0]): int(row[1]) for row in db.execute(sql, (owner_id,))})

    async def contents_in_use(self, among: Collection[str] | None = None) -> set[str]:
        """The address of every content that some version needs, or of those `among` some."""
        sql = "SELECT DISTINCT sha256 FROM version_files"
        if among is not None:
            sql += " WHERE sha256 IN (SELECT value FROM json_each(?))"
        values = () if among is None else (json.dumps(list(among)),)
        return await self._database.read(lambda db: {row[0] for row in db.execute(sql, values)})


def went_live(app_id: str, number: int, now: float, positions: Callable[[], Iterable[Position]]) -> Write:
    """The write that remembers when a version went live, and where the databases stand at that moment."""

    def write(db: Connection) -> None:
        stood = json.dumps([asdict(position) for position in positions()])
        sql = "UPDATE versions SET live_at = ?, positions = ? WHERE app_id = ? AND number = ?"
        db.execute(sql, (now, stood, app_id, number))

    return write


# Private


def _insert(db: Connection, key: tuple[str, int], author: Principal, draft: Draft, now: float) -> None:
    origin, commit = draft.origin, draft.origin.commit
    git = json.dumps(asdict(commit)) if commit else ""
    shipped = json.dumps(to_json(draft.shipped))
    db.execute(
        "INSERT INTO versions (app_id, number, entry, source, message, git, remix_of, author_id, created_at, modules, "
        "settings, bun) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, draft.entry, origin.source, origin.message, git, origin.of, author.id, now, draft.modules, shipped,
         draft.bun),
    )  # fmt: skip
    rows = [(*key, file.path, file.sha256, file.size) for file in draft.files]
    db.executemany("INSERT INTO version_files VALUES (?, ?, ?, ?, ?)", rows)


def _version(db: Connection, app_id: str, number: int) -> Version | None:
    row = one(db, f"SELECT {COLUMNS} {FROM} WHERE v.app_id = ? AND v.number = ?", (app_id, number))
    if row is None:
        return None
    sql = "SELECT path, sha256, size FROM version_files WHERE app_id = ? AND number = ? ORDER BY path"
    return _from_row(row, tuple(File(*file) for file in db.execute(sql, (app_id, number))))


def _from_row(row: Row, files: tuple[File, ...]) -> Version:
    commit = Commit(**json.loads(row[5])) if row[5] else None
    return Version(
        app_id=row[0],
        number=row[1],
        entry=row[2],
        origin=Origin(row[3], row[4], commit, row[6]),
        files=files,
        created_at=row[7],
        author_id=row[8],
        modules=row[9],
        shipped=from_json(json.loads(row[10])),
        bun=row[11],
        pinned=bool(row[12]),
        live_at=row[13],
        positions=tuple(Position(**one) for one in json.loads(row[14])),
        author=row[15],
        lock=row[16],
    )
