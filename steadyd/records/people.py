"""Who is who: the operator, guests, users, and the sessions of their browsers. Secrets are stored as SHA-256 only."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal, Scope, random_id, random_nickname
from steadyd.records import links, tokens
from steadyd.records.links import Purpose
from steadyd.records.secret import PUBLIC_ID, hash_secret, public_id
from steadyd.records.tokens import Wish
from steadyd.store import Connection, Database, Row, one

SESSION_SECONDS_MAX = 90 * 86_400.0
SESSIONS_PER_PERSON_MAX = 100
AGENT_CHARACTERS_MAX = 200
ADDRESS_CHARACTERS_MAX = 45
"""An IPv6 address with an IPv4 one in it (INET6_ADDRSTRLEN less its NUL)."""
USED_SECONDS = 60.0
"""A session's last use is written at most once in this time."""
COLUMNS = "p.id, p.kind, p.name, p.created_at, p.notify"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is logged in. `id` tells it from others, and is no secret; `agent` is what it calls itself,
    `address` where it logged in from; "" for what nobody noted."""

    id: str
    agent: str
    address: str
    created_at: float
    expires_at: float
    last_used_at: float | None

    def is_of(self, secret: str) -> bool:
        """Whether this is the session that has `secret`."""
        return self.id == public_id(hash_secret(secret))


class People:
    """Principals, their sessions, and one-time login links in steady.db."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def operator(self, now: float) -> Principal:
        """The operator, made at the first call."""

        def write(db: Connection) -> Principal:
            row = one(db, f"SELECT {COLUMNS} FROM principals p WHERE kind = 'operator'")
            return principal_of(row) if row else insert(db, Kind.OPERATOR, "operator", now)

        return await self._database.write(write)

    async def by_id(self, principal_id: str) -> Principal | None:
        sql = f"SELECT {COLUMNS} FROM principals p WHERE p.id = ?"
        return await self._database.read(_find(sql, (principal_id,)))

    async def set_notify(self, principal: Principal, url: str) -> None:
        """Where notices go from now on; "" for nowhere."""
        sql = "UPDATE principals SET notify = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (url, principal.id)))

    async def set_nickname(self, guest: Principal, name: str) -> None:
        """What a guest is called from now on."""
        sql = "UPDATE principals SET name = ? WHERE id = ? AND kind = 'guest'"
        await self._database.write(lambda db: db.execute(sql, (name, guest.id)))

    async def add_guest(self, now: float) -> Principal:
        """A new guest with a random nickname."""
        return await self._database.write(lambda db: insert(db, Kind.GUEST, random_nickname(), now))

    async def remove(self, principal: Principal) -> None:
        """Forget somebody who owns nothing (a guest whose first app did not start); an owner stays."""
        sql = "DELETE FROM principals WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM apps WHERE owner_id = ?1)"
        await self._database.write(lambda db: db.execute(sql, (principal.id,)))

    async def add_token(self, principal: Principal, label: str, now: float, app_id: str | None = None) -> str:
        """A new bearer token for all that `principal` may do, or only for changing one app; this is the only time that
        it can be read."""
        wish = Wish(label) if app_id is None else Wish(label, Scope.DEPLOY, app_id, asked=False)
        return await self._database.write(lambda db: tokens.insert(db, principal.id, wish, now))

    async def add_session(self, principal: Principal, now: float, agent: str = "", address: str = "") -> str:
        """A new session secret for a cookie. Above SESSIONS_PER_PERSON_MAX the oldest one ends."""
        secret = secrets.token_urlsafe(32)
        said = (agent[:AGENT_CHARACTERS_MAX], address[:ADDRESS_CHARACTERS_MAX])
        values = (hash_secret(secret), principal.id, now, now + SESSION_SECONDS_MAX, *said)

        def write(db: Connection) -> None:
            old = (
                "DELETE FROM sessions WHERE expires_at < ? OR hash IN (SELECT hash FROM sessions "
                "WHERE principal_id = ? ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
            )
            db.execute(old, (now, principal.id, SESSIONS_PER_PERSON_MAX - 1))
            columns = "hash, principal_id, created_at, expires_at, agent, address"
            db.execute(f"INSERT INTO sessions ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)

        await self._database.write(write)
        return secret

    async def add_login_link(self, principal: Principal, now: float) -> str:
        """The secret of a link that logs in once."""
        return (await self._database.write(lambda db: links.insert(db, principal.id, Purpose.LOGIN, now)))[0]

    async def take_login_link(self, secret: str, now: float) -> Principal | None:
        """Use up a login link: its principal, or None if it is unknown, used or too old."""

        def write(db: Connection) -> Principal | None:
            found = links.take(db, secret, Purpose.LOGIN, now)
            row = one(db, f"SELECT {COLUMNS} FROM principals p WHERE p.id = ? AND p.suspended IS NULL", (found,))
            return principal_of(row) if row else None

        return await self._database.write(write)

    async def by_session(self, secret: str, now: float) -> Principal | None:
        """Whose session cookie this is."""
        sql = (
            f"SELECT {COLUMNS}, s.last_used_at FROM sessions s JOIN principals p ON p.id = s.principal_id "
            "WHERE s.hash = ? AND s.expires_at >= ? AND p.suspended IS NULL"
        )
        hashed = hash_secret(secret)
        row = await self._database.read(lambda db: one(db, sql, (hashed, now)))
        if row is None:
            return None
        if now - (row[5] or 0.0) >= USED_SECONDS:
            used = "UPDATE sessions SET last_used_at = ? WHERE hash = ?"
            with contextlib.suppress(SteadyError):  # on a full disk, a session still opens the door
                await self._database.write(lambda db: db.execute(used, (now, hashed)))
        return principal_of(row)

    async def sessions(self, principal_id: str, now: float) -> list[Session]:
        """One person's, newest first."""
        sql = (
            "SELECT hash, agent, address, created_at, expires_at, last_used_at FROM sessions "
            "WHERE principal_id = ? AND expires_at >= ? ORDER BY created_at DESC, hash"
        )

        def read(db: Connection) -> list[Session]:
            return [Session(public_id(row[0]), *row[1:]) for row in db.execute(sql, (principal_id, now))]

        return await self._database.read(read)

    async def addresses(self, principal_ids: Collection[str]) -> dict[str, str]:
        """Where each of them logged in from last, of those of whom that was noted."""
        marks = ", ".join("?" * len(principal_ids))
        sql = (
            "SELECT principal_id, address, max(created_at) FROM sessions "
            f"WHERE principal_id IN ({marks}) AND address != '' GROUP BY principal_id"
        )
        values = tuple(principal_ids)
        return await self._database.read(lambda db: {str(row[0]): str(row[1]) for row in db.execute(sql, values)})

    async def revoke_session(self, principal_id: str, session_id: str) -> None:
        """Log a browser out from afar.

        Raises:
            SteadyError: `not_found` if this person has no such session.
        """

        def write(db: Connection) -> None:
            db.execute(f"DELETE FROM sessions WHERE principal_id = ? AND {PUBLIC_ID} = ?", (principal_id, session_id))
            if not db.changes():
                raise SteadyError("not_found", "You have no such session. GET /api/sessions lists yours.")

        await self._database.write(write)

    async def end_other_sessions(self, principal_id: str, secret: str) -> int:
        """Log every browser out but the one with the session `secret`. How many those were."""

        def write(db: Connection) -> int:
            sql = "DELETE FROM sessions WHERE principal_id = ? AND hash != ?"
            db.execute(sql, (principal_id, hash_secret(secret)))
            return int(db.changes())

        return await self._database.write(write)

    async def end_session(self, secret: str) -> None:
        """Log out: the secret is worthless from now on."""
        values = (hash_secret(secret),)
        await self._database.write(lambda db: db.execute("DELETE FROM sessions WHERE hash = ?", values))


def insert(db: Connection, kind: Kind, name: str, now: float) -> Principal:
    """Within a transaction: somebody new."""
    principal = Principal(random_id(), kind, name, now)
    db.execute(
        "INSERT INTO principals (id, kind, name, created_at) VALUES (?, ?, ?, ?)", (principal.id, str(kind), name, now)
    )
    return principal


def principal_of(row: Row) -> Principal:
    """A row that begins with COLUMNS."""
    return Principal(row[0], Kind(row[1]), row[2], row[3], row[4])


# Private


def _find(sql: str, values: tuple[object, ...]) -> Callable[[Connection], Principal | None]:
    def query(db: Connection) -> Principal | None:
        row = one(db, sql, values)
        return principal_of(row) if row else None

    return query
