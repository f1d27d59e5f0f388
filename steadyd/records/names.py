"""Which name leads to which app, and who may have one that an app gave up.

An app gives up its name when it is renamed, and when nothing of it is kept any more. Links, bookmarks and webhooks go
on using the name for a while, so for that while nobody but its last owner can have it, and it leads on to the app, if
that lives under another name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from steadyd.errors import SteadyError
from steadyd.model import Principal, check_name
from steadyd.store import Connection, ConstraintError, Database, Write, one
from steadyd.terms import Terms

KEPT_PER_OWNER_MAX = 100
"""Names that one person's apps gave up; beyond them the one given up first is free again."""


@dataclass(frozen=True, slots=True)
class Former:
    """A name that an app gave up and nobody took since. `owner_id` alone may take it before `until`."""

    name: str
    owner_id: str
    until: float
    renamed_to: str
    """What the app is called now; "" if it is gone."""


class Names:
    """The tables `hostnames` and `former_names`. A write is a part of a transaction."""

    def __init__(self, database: Database, terms: Terms = Terms()) -> None:
        self.terms = terms
        self._database = database

    async def hostnames(self) -> dict[str, str]:
        """Host name → app id for every app that may be asked. A name without a dot lies under the app domain."""
        sql = "SELECT h.hostname, h.app_id FROM hostnames h JOIN apps a ON a.id = h.app_id WHERE a.deleted_at IS NULL"
        return await self._database.read(lambda db: {str(row[0]): str(row[1]) for row in db.execute(sql)})

    async def redirects(self, now: float) -> dict[str, str]:
        """Former name → the present name of its app, of every app that may be asked."""
        sql = (
            "SELECT f.name, a.name FROM former_names f JOIN apps a ON a.id = f.app_id "
            "WHERE f.until > ? AND a.deleted_at IS NULL"
        )
        return await self._database.read(lambda db: {str(row[0]): str(row[1]) for row in db.execute(sql, (now,))})

    async def former(self, name: str, now: float) -> Former | None:
        """Whose that former name is; None for one that is free, unknown or an app's."""
        return await self._database.read(lambda db: _former(db, name, now))

    async def forget(self, now: float) -> int:
        """Let go of the names whose time is over; returns how many."""

        def write(db: Connection) -> int:
            db.execute("DELETE FROM former_names WHERE until <= ?", (now,))
            return db.changes()

        return await self._database.write(write)

    def rename(self, app_id: str, name: str, now: float) -> Write:
        """Give the app another name; the old one leads on to it. Its own present name changes nothing.

        Raises:
            SteadyError: `invalid_name`, or when it is written `name_taken`.
        """
        check_name(name)

        def write(db: Connection) -> None:
            row = one(db, "SELECT name, owner_id FROM apps WHERE id = ?", (app_id,))
            if row is None or row[0] == name:
                return
            old, owner_id = str(row[0]), str(row[1])
            take(db, name, app_id, owner_id, now)
            db.execute("UPDATE apps SET name = ?, updated_at = ? WHERE id = ?", (name, now, app_id))
            db.execute("DELETE FROM hostnames WHERE hostname = ?", (old,))
            _keep(db, old, app_id, owner_id, self.terms, now)

        return write


def is_free(db: Connection, name: str, now: float) -> bool:
    """Inside a transaction: whether anybody may have that name."""
    return _former(db, name, now) is None and one(db, "SELECT 1 FROM hostnames WHERE hostname = ?", (name,)) is None


def take(db: Connection, name: str, app_id: str, owner_id: str, now: float) -> None:
    """Inside a transaction: `name` leads to that app from now on, and to nothing else.

    Raises:
        SteadyError: `name_taken`, with `details` {name, yours}.
    """
    former = _former(db, name, now)
    if former is not None and former.owner_id != owner_id:
        raise _kept(former)
    try:
        db.execute("INSERT INTO hostnames VALUES (?, ?)", (name, app_id))
    except ConstraintError:
        raise taken(db, name, owner_id) from None
    db.execute("DELETE FROM former_names WHERE name = ?", (name,))


def release(db: Connection, app_id: str, terms: Terms, now: float) -> None:
    """Inside a transaction, before an app's row goes: its name is kept for its owner, if it ever served."""
    row = one(db, "SELECT name, owner_id FROM apps WHERE id = ? AND version > 0", (app_id,))
    if row is not None:
        _keep(db, str(row[0]), None, str(row[1]), terms, now)


def hand_over(db: Connection, app_id: str, to: Principal) -> None:
    """Inside a transaction: the names that an app gave up belong to whom the app belongs."""
    db.execute("UPDATE former_names SET owner_id = ? WHERE app_id = ?", (to.id, app_id))


def inherit(db: Connection, from_id: str, to_id: str) -> None:
    """Inside a transaction: whatever names one person's apps gave up are another's, also of apps that are gone."""
    db.execute("UPDATE former_names SET owner_id = ? WHERE owner_id = ?", (to_id, from_id))


def taken(db: Connection, name: str, owner_id: str) -> SteadyError:
    """Why an app cannot have that name; if it is `owner_id`'s own, what to do instead."""
    row = one(db, "SELECT owner_id, deleted_at FROM apps WHERE name = ?", (name,))
    yours = row is not None and row[0] == owner_id
    if yours and row is not None and row[1] is not None:
        advice = "It is yours and deleted: undelete it, or delete it with purge=1 first."
    elif yours:
        advice = f"It is yours: deploy to it with PUT /api/apps/{name} or POST /api/apps/{name}/deploys."
    else:
        advice = "Choose another name."
    return SteadyError("name_taken", f"The name “{name}” is taken. {advice}", {"name": name, "yours": yours})


# Private


def _keep(db: Connection, name: str, app_id: str | None, owner_id: str, terms: Terms, now: float) -> None:
    if terms.name_seconds:
        values = (name, app_id, owner_id, now + terms.name_seconds)
        db.execute("INSERT OR REPLACE INTO former_names VALUES (?, ?, ?, ?)", values)
        newest = "SELECT name FROM former_names WHERE owner_id = ?1 ORDER BY until DESC, name LIMIT ?2"
        sql = f"DELETE FROM former_names WHERE owner_id = ?1 AND name NOT IN ({newest})"
        db.execute(sql, (owner_id, KEPT_PER_OWNER_MAX))


def _former(db: Connection, name: str, now: float) -> Former | None:
    sql = (
        "SELECT f.name, f.owner_id, f.until, coalesce(a.name, '') FROM former_names f "
        "LEFT JOIN apps a ON a.id = f.app_id WHERE f.name = ? AND f.until > ?"
    )
    row = one(db, sql, (name, now))
    return Former(*row) if row is not None else None


def _kept(former: Former) -> SteadyError:
    until = datetime.fromtimestamp(former.until, UTC).strftime("%Y-%m-%d")
    said = f"The name “{former.name}” was another app's, and only its last owner can have it before {until}."
    return SteadyError("name_taken", f"{said} Choose another name.", {"name": former.name, "yours": False})
