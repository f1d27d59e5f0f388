"""Apps' variables in steady.db: sealed, bound to their rows, and every change a numbered revision.

A row is in force from revision `since` until revision `until` (NULL: still), so what an app had at any revision is a
question, and a change costs only what it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Principal
from steadyd.store import Connection, Database, one
from steadyd.variables import (
    CONTEXTS,
    UNCHANGED,
    Change,
    Context,
    Place,
    Value,
    Variable,
    check_sizes,
    for_context,
    is_secret,
    shown,
)
from steadyd.vault import ID_BYTES, OVERHEAD_BYTES, Vault

REVISIONS_PER_APP_MAX = 100
"""The newest are kept."""
FORMER_BYTES_PER_APP_MAX = 4 << 20
"""Of values that are no longer in force."""
IN_FORCE = "until IS NULL"
AT_REVISION = "since <= ?2 AND (until IS NULL OR until > ?2)"


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of an app's variables. `hash` is equal for equal ones of one app, and tells no value."""

    number: int
    at: float
    author_id: str
    hash: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A row without its value. `size` is the value's, in bytes."""

    id: int
    place: Place
    secret: bool
    updated_at: float
    fingerprint: bytes
    size: int


class Environment:
    """What apps get as variables. Values go in and come out for a start; nothing here shows one."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self.vault = vault
        self._database = database

    async def shown(self, app_id: str, only: Context | None = None) -> dict[str, Variable]:
        """What may be told of an app's variables, by name."""
        stored = await self._database.read(lambda db: _stored(db, app_id))
        return shown(((row.place, row.secret, row.updated_at) for row in stored), only)

    async def values(self, app_id: str, context: Context, change: Change = UNCHANGED) -> dict[str, str]:
        """What an instance of `context` gets, were `change` made.

        Raises:
            SteadyError: `secrets_locked`.
        """

        def query(db: Connection) -> dict[str, str]:
            rows = db.execute(f"SELECT context, name, sealed FROM variables WHERE app_id = ? AND {IN_FORCE}", (app_id,))
            found: dict[Place, bytes | str] = {(row[0], row[1]): row[2] for row in rows}
            found = {place: sealed for place, sealed in found.items() if not change.removes(place)}
            found |= {place: value.text for place, value in change.values.items() if value is not None}
            wanted = for_context({place: (place, value) for place, value in found.items()}, context)
            return {name: self._text(app_id, place, value) for name, (place, value) in wanted.items()}

        return await self._database.read(query)

    async def differs(self, app_id: str, change: Change) -> bool:
        """Whether `change` changes anything.

        Raises:
            SteadyError: `too_large` if the app may not have so much; `secrets_locked`.
        """
        return await self._database.read(lambda db: self._compare(db, app_id, change).matters)

    def change(self, app_id: str, change: Change, by: Principal, now: float) -> Callable[[Connection], bool]:
        """The write that makes `change`, as a new revision; it answers whether anything changed.

        Raises:
            SteadyError: `too_large`, `secrets_locked`; from within the write.
        """

        def write(db: Connection) -> bool:
            if any(value is not None for value in change.values.values()):
                self._have_key(db)
            difference = self._compare(db, app_id, change)
            if difference.matters:
                self._apply(db, app_id, difference, by, now)
            return difference.matters

        return write

    def went_live(self, app_id: str, version: int) -> Callable[[Connection], object]:
        """The write that remembers with which variables `version` runs. One that comes back with others keeps its own,
        unless they change while it is live: so going back to its code alone loses no way to go back to both."""
        sql = (
            "INSERT OR IGNORE INTO version_environments "
            "SELECT ?1, ?2, coalesce(max(revision), 0) FROM environments WHERE app_id = ?1"
        )
        return lambda db: db.execute(sql, (app_id, version))

    async def revisions(self, app_id: str) -> list[Revision]:
        """Those that are kept, newest first."""
        sql = "SELECT revision, at, author_id, hash FROM environments WHERE app_id = ? ORDER BY revision DESC"
        return await self._database.read(lambda db: [Revision(*row) for row in db.execute(sql, (app_id,))])

    async def of_versions(self, app_id: str) -> dict[int, Revision]:
        """Version → the variables with which it ran last, while both are kept."""
        sql = (
            "SELECT v.version, e.revision, e.at, e.author_id, e.hash FROM version_environments v "
            "JOIN environments e ON e.app_id = v.app_id AND e.revision = v.revision WHERE v.app_id = ?"
        )
        return await self._database.read(lambda db: {row[0]: Revision(*row[1:]) for row in db.execute(sql, (app_id,))})

    async def back_to(self, app_id: str, version: int | None) -> Change:
        """The change that gives an app the variables with which `version` ran last (None: that the app has now), in all
        contexts.

        Raises:
            SteadyError: `not_found` if they are no longer kept; `secrets_locked`.
        """

        def query(db: Connection) -> Change:
            when, at = (IN_FORCE, ()) if version is None else (AT_REVISION, (_revision_of(db, app_id, version),))
            sql = f"SELECT context, name, secret, sealed FROM variables WHERE app_id = ?1 AND {when}"
            values: dict[Place, Value | None] = {}
            for context, name, secret, sealed in db.execute(sql, (app_id, *at)):
                values[context, name] = Value(self._text(app_id, (context, name), sealed), bool(secret))
            return Change(values, frozenset(CONTEXTS))

        return await self._database.read(query)

    async def locked(self) -> set[str]:
        """Ids of apps that have values whose key is not here: they cannot start."""
        sql = f"SELECT DISTINCT app_id, substr(sealed, 1, {ID_BYTES}) FROM variables WHERE {IN_FORCE}"
        return await self._database.read(lambda db: {row[0] for row in db.execute(sql) if not self.vault.knows(row[1])})

    async def rotate(self) -> int:
        """Seal everything anew with a new key, in one transaction, then drop the old ones; returns how many values.

        Raises:
            SteadyError: `secrets_locked` if the key file cannot be used; `disk_full`.
        """

        def write(db: Connection) -> int:
            self.vault.rotate()
            return self._seal_anew(db)

        sealed = await self._database.write(write)
        await self._retire()
        return sealed

    async def settle(self) -> None:
        """After a start: end a rotation that was interrupted."""
        if await asyncio.to_thread(lambda: self.vault.is_rotating):
            await self._database.write(self._seal_anew)
            await self._retire()

    # Private

    def _text(self, app_id: str, place: Place, value: bytes | str) -> str:
        return value if isinstance(value, str) else self.vault.open(value, _bytes(app_id, place)).decode()

    def _have_key(self, db: Connection) -> None:
        """A first key only where nothing waits for another one."""
        if not self.vault.has_key and one(db, f"SELECT 1 FROM variables WHERE {IN_FORCE} LIMIT 1") is None:
            self.vault.make()

    def _compare(self, db: Connection, app_id: str, change: Change) -> _Difference:
        before = {row.place: row for row in _stored(db, app_id)}
        gone = [row for place, row in before.items() if change.removes(place)]
        put: dict[Place, tuple[Value, bool]] = {}
        for place, value in change.values.items():
            if value is None:
                continue
            row = before.get(place)
            said = is_secret(place[1]) if row is None else row.secret
            secret = said if value.secret is None else value.secret
            if row is None or row.secret != secret or not self._equals(app_id, row, value):
                put[place] = (value, secret)
        sizes = {place: row.size for place, row in before.items() if row not in gone}
        check_sizes(sizes | {place: len(value.text.encode()) for place, (value, _) in put.items()})
        return _Difference(put, [*(row.id for row in gone), *(before[place].id for place in put if place in before)])

    def _equals(self, app_id: str, row: Stored, value: Value) -> bool:
        place = _bytes(app_id, row.place)
        return self.vault.has_key and self.vault.fingerprint(value.text.encode(), place) == row.fingerprint

    def _apply(self, db: Connection, app_id: str, difference: _Difference, by: Principal, now: float) -> None:
        row = one(db, "SELECT coalesce(max(revision), 0) + 1 FROM environments WHERE app_id = ?", (app_id,))
        assert row is not None
        revision = int(row[0])
        db.executemany("UPDATE variables SET until = ? WHERE id = ?", [(revision, id) for id in difference.ended])
        sql = (
            "INSERT INTO variables (app_id, context, name, secret, updated_at, sealed, fingerprint, since) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        for place, (value, secret) in difference.put.items():
            sealed = self._sealed(app_id, place, value.text.encode())
            db.execute(sql, (app_id, *place, secret, now, *sealed, revision))
        values = (app_id, revision, now, by.id, _hash(_stored(db, app_id)))
        db.execute("INSERT INTO environments VALUES (?, ?, ?, ?, ?)", values)
        sql = (
            "INSERT OR REPLACE INTO version_environments SELECT a.id, v.number, ? FROM apps a "
            "JOIN versions v ON v.app_id = a.id AND v.number = a.version WHERE a.id = ?"
        )
        db.execute(sql, (revision, app_id))
        _forget(db, app_id, revision)

    def _sealed(self, app_id: str, place: Place, value: bytes) -> tuple[bytes, bytes]:
        """The value sealed, and its fingerprint."""
        bound = _bytes(app_id, place)
        return self.vault.seal(value, bound), self.vault.fingerprint(value, bound)

    def _seal_anew(self, db: Connection) -> int:
        """Every value that can be read, with the current key; returns how many that were."""
        count = 0
        for row in db.execute("SELECT id FROM variables").fetchall():
            found = one(db, "SELECT app_id, context, name, sealed FROM variables WHERE id = ?", row)
            assert found is not None
            app_id, context, name, sealed = found
            with contextlib.suppress(SteadyError):  # what cannot be read stays as it is
                value = self.vault.open(sealed, _bytes(app_id, (context, name)))
                anew = self._sealed(app_id, (context, name), value)
                db.execute("UPDATE variables SET sealed = ?, fingerprint = ? WHERE id = ?", (*anew, row[0]))
                count += 1
        for app_id, revision in db.execute("SELECT app_id, revision FROM environments").fetchall():
            had = _stored(db, str(app_id), int(str(revision)))
            sql = "UPDATE environments SET hash = ? WHERE app_id = ? AND revision = ?"
            db.execute(sql, (_hash(had), app_id, revision))
        return count

    async def _retire(self) -> None:
        sql = f"SELECT DISTINCT substr(sealed, 1, {ID_BYTES}) FROM variables"
        used = await self._database.read(lambda db: {row[0] for row in db.execute(sql)})
        await asyncio.to_thread(self.vault.retire, used)


@dataclass(frozen=True, slots=True)
class _Difference:
    """What a change adds (each with whether it is secret), and ids of the rows that it ends."""

    put: Mapping[Place, tuple[Value, bool]]
    ended: list[int]

    @property
    def matters(self) -> bool:
        return bool(self.put or self.ended)


# Private


def _bytes(app_id: str, place: Place) -> bytes:
    """What a sealed value is bound to."""
    return "\0".join((app_id, *place)).encode()


def _stored(db: Connection, app_id: str, revision: int | None = None) -> list[Stored]:
    """What is in force, or was at `revision`."""
    where, values = (IN_FORCE, (app_id,)) if revision is None else (AT_REVISION, (app_id, revision))
    sql = (
        "SELECT id, context, name, secret, updated_at, fingerprint, length(sealed) FROM variables "
        f"WHERE app_id = ?1 AND {where}"
    )
    return [
        Stored(row[0], (row[1], row[2]), bool(row[3]), row[4], row[5], row[6] - OVERHEAD_BYTES)
        for row in db.execute(sql, values)
    ]


def _hash(rows: Iterable[Stored]) -> str:
    """Of keyed fingerprints, so that nobody can try values; 16 digits."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.place):
        digest.update("\0".join((*row.place, str(int(row.secret)), row.fingerprint.hex(), "")).encode())
    return digest.hexdigest()[:16]


def _revision_of(db: Connection, app_id: str, version: int) -> int:
    """With which `version` ran last; 0 is none, before the app had any variable."""
    row = one(db, "SELECT revision FROM version_environments WHERE app_id = ? AND version = ?", (app_id, version))
    revision = int(row[0]) if row else 0
    kept = one(db, "SELECT 1 FROM environments WHERE app_id = ? AND revision = ?", (app_id, revision))
    if revision and not kept:
        said = f"The variables with which version {version} ran are not kept any more. Go back without them."
        raise SteadyError("not_found", said, {"version": version})
    return revision


def _forget(db: Connection, app_id: str, newest: int) -> None:
    """Let old revisions go, beyond their number and beyond the bytes that only they need."""
    sql = (
        "SELECT max(until) FROM (SELECT until, sum(length(sealed)) OVER (ORDER BY until DESC) AS bytes FROM variables "
        "WHERE app_id = ? AND until IS NOT NULL) WHERE bytes > ?"
    )
    row = one(db, sql, (app_id, FORMER_BYTES_PER_APP_MAX))
    oldest = max(newest - REVISIONS_PER_APP_MAX + 1, int(row[0] or 0) if row else 0)
    db.execute("DELETE FROM environments WHERE app_id = ? AND revision < ?", (app_id, oldest))
    db.execute("DELETE FROM variables WHERE app_id = ? AND until <= ?", (app_id, oldest))
