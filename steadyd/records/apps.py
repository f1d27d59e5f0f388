"""Apps in steady.db. Keys and paths use the permanent id, never the name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from steadyd.errors import SteadyError
from steadyd.model import (
    App,
    Choices,
    Kind,
    Principal,
    check_name,
    random_id,
    random_name,
)
from steadyd.records.names import hand_over, is_free, release, take, taken
from steadyd.settings import Policy, from_json, to_json
from steadyd.store import Connection, ConstraintError, Database, Row, Write, one
from steadyd.terms import Fate, Terms

RANDOM_NAME_TRIES_MAX = 20
COLUMNS = (
    "a.id, a.number, a.name, a.owner_id, p.name, a.version, a.temporary, a.held, a.created_at, a.updated_at, "
    "a.expires_at, a.deleted_at, a.settings, p.kind, coalesce(v.settings, '{}'), "
    "coalesce(a.suspended, p.suspended, '')"
)
PUBLIC = "json_extract(a.settings, '$.visibility') = 'public'"
"""As the index has it that finds them."""
FROM = (
    "FROM apps a JOIN principals p ON p.id = a.owner_id "
    "LEFT JOIN versions v ON v.app_id = a.id AND v.number = a.version"
)


class Apps:
    """What exists. Every method is one transaction. `policy` makes settings from what was chosen; `terms` say how long
    what nobody keeps is kept."""

    def __init__(self, database: Database, policy: Policy = Policy(), terms: Terms = Terms()) -> None:
        self.policy = policy
        self.terms = terms
        self._database = database

    async def create(self, name: str | None, owner: Principal, temporary: bool, now: float) -> App:
        """A new app without a version. Without a name it gets a readable random one.

        Raises:
            SteadyError: `invalid_name`, `name_taken` with `details.yours`, or `app_limit` for a guest.
        """
        if name is not None:
            check_name(name)
        sql = f"SELECT {COLUMNS} {FROM} WHERE a.id = ?"

        def write(db: Connection) -> App:
            expires_at = self.terms.expires_at(temporary, now)
            check_room(db, owner.id, owner.kind, self.policy)
            app_id = _create(db, name, owner, temporary, expires_at, now)
            app = _app(one(db, sql, (app_id,)), self.policy)
            assert app is not None
            return app

        return await self._database.write(write)

    async def write(self, *writes: Write) -> None:
        """Make several changes true at once, or none of them."""

        def write(db: Connection) -> None:
            for part in writes:
                part(db)

        await self._database.write(write)

    async def by_id(self, app_id: str) -> App | None:
        sql = f"SELECT {COLUMNS} {FROM} WHERE a.id = ?"
        return await self._database.read(lambda db: _app(one(db, sql, (app_id,)), self.policy))

    async def by_name(self, name: str) -> App | None:
        """The app of that name, deleted ones too."""
        sql = f"SELECT {COLUMNS} {FROM} WHERE a.name = ?"
        return await self._database.read(lambda db: _app(one(db, sql, (name,)), self.policy))

    async def everything(self, deleted: bool = False) -> list[App]:
        """All apps of this host, oldest first."""
        sql = f"SELECT {COLUMNS} {FROM} WHERE (a.deleted_at IS NOT NULL) = ? ORDER BY a.number"
        return await self._database.read(lambda db: _apps(db.execute(sql, (deleted,)), self.policy))

    async def of_owner(self, owner_id: str, deleted: bool = False) -> list[App]:
        """One owner's apps, last changed first."""
        where = "a.owner_id = ? AND (a.deleted_at IS NOT NULL) = ?"
        sql = f"SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY a.updated_at DESC"
        return await self._database.read(lambda db: _apps(db.execute(sql, (owner_id, deleted)), self.policy))

    async def public(self, after: str, limit: int) -> list[App]:
        """Apps that everybody may know of, by name, those after the name `after`."""
        serves = "a.deleted_at IS NULL AND a.version > 0 AND coalesce(a.suspended, p.suspended) IS NULL"
        where = f"{PUBLIC} AND {serves} AND a.name > ?"
        sql = f"SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY a.name LIMIT ?"
        return await self._database.read(lambda db: _apps(db.execute(sql, (after, limit)), self.policy))

    async def owners(self) -> dict[str, str]:
        """App id → its owner's id."""
        sql = "SELECT id, owner_id FROM apps"
        return await self._database.read(lambda db: {str(row[0]): str(row[1]) for row in db.execute(sql)})

    async def remove(self, app_id: str, now: float) -> None:
        """Forget an app with everything that belongs to it. If it ever served, its name is kept for its owner."""

        def write(db: Connection) -> None:
            release(db, app_id, self.terms, now)
            db.execute("DELETE FROM apps WHERE id = ?", (app_id,))

        await self._database.write(write)

    def still(self, app_id: str, fate: Fate, now: float) -> Write:
        """Nothing, if that is what time does to the app; for who looked before and acts now.

        Raises:
            SteadyError: when it is written, `conflict` if somebody kept the app meanwhile.
        """

        def write(db: Connection) -> None:
            app = _app(one(db, f"SELECT {COLUMNS} {FROM} WHERE a.id = ?", (app_id,)), self.policy)
            if app is None or self.terms.fate(app, now) is not fate:
                raise SteadyError("conflict", "It is kept after all.")

        return write

    def bringing_back(self, app_id: str, now: float) -> Write:
        """A deleted app is there again; a temporary one for as long as after an edit.

        Raises:
            SteadyError: when it is written, `not_found` if it is purged at this moment, `app_limit` for a guest.
        """

        def write(db: Connection) -> None:
            sql = "SELECT 1 FROM operations WHERE app_id = ? AND kind = 'purge' AND committed AND finished_at IS NULL"
            app = _app(one(db, f"SELECT {COLUMNS} {FROM} WHERE a.id = ?", (app_id,)), self.policy)
            if app is None or one(db, sql, (app_id,)) is not None:
                raise SteadyError("not_found", "The app does not exist any more.")
            if app.deleted_at is not None:
                check_room(db, app.owner_id, app.owner_kind, self.policy)
            expires_at = self.terms.expires_at(app.temporary, now)
            db.execute("UPDATE apps SET deleted_at = NULL, expires_at = ? WHERE id = ?", (expires_at, app_id))

        return write


def check_room(db: Connection, owner_id: str, kind: Kind, policy: Policy) -> None:
    """Inside a transaction: whether that owner may have one more app.

    Raises:
        SteadyError: `app_limit` with `details` {limit}.
    """
    if kind is not Kind.GUEST or not policy.guest_apps:
        return
    row = one(db, "SELECT count(*) FROM apps WHERE owner_id = ? AND deleted_at IS NULL", (owner_id,))
    if row is not None and row[0] >= policy.guest_apps:
        said = (
            f"A guest has {policy.guest_apps} apps at most, and you have {row[0]}. Delete one, or sign up to have more."
        )
        raise SteadyError("app_limit", said, {"limit": policy.guest_apps})


def same_owner(app: App) -> Write:
    """Nothing, if the app belongs to whom it belonged when it was decided who may.

    Raises:
        SteadyError: when it is written, `not_found`.
    """

    def write(db: Connection) -> None:
        row = one(db, "SELECT owner_id FROM apps WHERE id = ?", (app.id,))
        if row is None or row[0] != app.owner_id:
            raise SteadyError("not_found", f"“{app.name}” is somebody else's by now.")

    return write


def moved(app_id: str, to: Principal, now: float) -> Write:
    """The app is `to`'s from this commit on, with the names that it gave up, and stays: it is no longer temporary."""

    def write(db: Connection) -> None:
        sql = "UPDATE apps SET owner_id = ?, temporary = 0, expires_at = NULL, updated_at = ? WHERE id = ?"
        db.execute(sql, (to.id, now, app_id))
        hand_over(db, app_id, to)

    return write


def going_live(app: App, version: int, now: float, terms: Terms) -> Write:
    """The swap as a fact: from this commit on, `version` is what starts. Ends a hold."""
    expires = terms.expires_at(app.temporary, now)
    sql = "UPDATE apps SET version = ?, held = 0, updated_at = ?, expires_at = ? WHERE id = ?"
    return lambda db: db.execute(sql, (version, now, expires, app.id))


def choosing(app_id: str, change: Callable[[Choices], Choices]) -> Write:
    """Change what the owner set, all at once. `change` may raise, and then nothing is changed."""

    def write(db: Connection) -> None:
        row = one(db, "SELECT settings FROM apps WHERE id = ?", (app_id,))
        if row is not None:
            chosen = json.dumps(to_json(change(from_json(json.loads(row[0])))))
            db.execute("UPDATE apps SET settings = ? WHERE id = ?", (chosen, app_id))

    return write


def holding(app_id: str, held: bool) -> Write:
    """Whether its owner holds it down."""
    return lambda db: db.execute("UPDATE apps SET held = ? WHERE id = ?", (held, app_id))


def suspending(app_id: str, reason: str | None) -> Write:
    """Why the operator suspends the app; None to end that."""
    return lambda db: db.execute("UPDATE apps SET suspended = ? WHERE id = ?", (reason, app_id))


def deleting(app_id: str, at: float) -> Write:
    """It is deleted from that moment on, if it was not before. Code, data and name stay."""
    sql = "UPDATE apps SET deleted_at = coalesce(deleted_at, ?) WHERE id = ?"
    return lambda db: db.execute(sql, (at, app_id))


# Private


def _create(
    db: Connection, name: str | None, owner: Principal, temporary: bool, expires_at: float | None, now: float
) -> str:
    app_id, chosen = random_id(), name or _free_name(db, now)
    try:
        db.execute(
            "INSERT INTO apps (id, name, owner_id, temporary, created_at, updated_at, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (app_id, chosen, owner.id, temporary, now, now, expires_at),
        )
    except ConstraintError:
        raise taken(db, chosen, owner.id) from None
    take(db, chosen, app_id, owner.id, now)
    return app_id


def _free_name(db: Connection, now: float) -> str:
    for _ in range(RANDOM_NAME_TRIES_MAX):
        if is_free(db, name := random_name(), now):
            return name
    raise SteadyError("conflict", "No free random name was found. Give the app a name.")


def _app(row: Row | None, policy: Policy) -> App | None:
    if row is None:
        return None
    chosen, kind, shipped = from_json(json.loads(row[12])), Kind(row[13]), from_json(json.loads(row[14]))
    return App(
        id=row[0],
        number=row[1],
        name=row[2],
        owner_id=row[3],
        owner_name=row[4],
        version=row[5],
        temporary=bool(row[6]),
        held=bool(row[7]),
        created_at=row[8],
        updated_at=row[9],
        expires_at=row[10],
        deleted_at=row[11],
        owner_kind=kind,
        chosen=chosen,
        shipped=shipped,
        settings=policy.settings(chosen, shipped, kind),
        suspended=row[15],
    )


def _apps(rows: Iterable[Row], policy: Policy) -> list[App]:
    return [app for row in rows if (app := _app(row, policy)) is not None]
