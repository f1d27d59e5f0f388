"""Who is who: the operator, guests, and the secrets they show. Secrets are stored as SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from steadyd.model import Kind, Principal, random_id, random_nickname
from steadyd.store import Connection, Database, Row, one

SESSION_SECONDS_MAX = 90 * 86_400.0
LOGIN_LINK_SECONDS_MAX = 86_400.0
TOKEN_PREFIX = "steady_"
COLUMNS = "p.id, p.kind, p.name, p.created_at, p.notify"


class People:
    """Principals, sessions, tokens and one-time login links in steady.db."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def operator(self, now: float) -> Principal:
        """The operator, made at the first call."""

        def write(db: Connection) -> Principal:
            row = one(db, f"SELECT {COLUMNS} FROM principals p WHERE kind = 'operator'")
            return _principal(row) if row else _insert(db, Kind.OPERATOR, "operator", now)

        return await self._database.write(write)

    async def by_id(self, principal_id: str) -> Principal | None:
        sql = f"SELECT {COLUMNS} FROM principals p WHERE p.id = ?"
        return await self._database.read(_find(sql, (principal_id,)))

    async def set_notify(self, principal: Principal, url: str) -> None:
        """Where notices go from now on; "" for nowhere."""
        sql = "UPDATE principals SET notify = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (url, principal.id)))

    async def add_guest(self, now: float) -> Principal:
        """A new guest with a random nickname."""
        return await self._database.write(lambda db: _insert(db, Kind.GUEST, random_nickname(), now))

    async def remove(self, principal: Principal) -> None:
        """Forget somebody who owns nothing (a guest whose first app did not start); an owner stays."""
        sql = "DELETE FROM principals WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM apps WHERE owner_id = ?1)"
        await self._database.write(lambda db: db.execute(sql, (principal.id,)))

    async def add_token(self, principal: Principal, label: str, now: float) -> str:
        """A new bearer token for `principal`; this is the only time it can be read."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(24)
        sql = "INSERT INTO tokens (hash, principal_id, label, created_at) VALUES (?, ?, ?, ?)"
        values = (hash_secret(token), principal.id, label, now)
        await self._database.write(lambda db: db.execute(sql, values))
        return token

    async def add_session(self, principal: Principal, now: float) -> str:
        """A new session secret for a cookie."""
        secret = secrets.token_urlsafe(32)
        values = (hash_secret(secret), principal.id, now, now + SESSION_SECONDS_MAX)
        await self._database.write(lambda db: db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", values))
        return secret

    async def add_login_link(self, principal: Principal, now: float) -> str:
        """The secret of a link that logs in once."""
        secret = secrets.token_urlsafe(24)
        values = (hash_secret(secret), principal.id, now + LOGIN_LINK_SECONDS_MAX)
        await self._database.write(lambda db: db.execute("INSERT INTO login_links VALUES (?, ?, ?)", values))
        return secret

    async def take_login_link(self, secret: str, now: float) -> Principal | None:
        """Use up a login link: its principal, or None if it is unknown, used or too old."""

        def write(db: Connection) -> Principal | None:
            sql = (
                f"SELECT {COLUMNS}, l.expires_at FROM login_links l JOIN principals p ON p.id = l.principal_id "
                "WHERE l.hash = ?"
            )
            row = one(db, sql, (hash_secret(secret),))
            db.execute("DELETE FROM login_links WHERE hash = ? OR expires_at < ?", (hash_secret(secret), now))
            return _principal(row) if row and row[5] >= now else None

        return await self._database.write(write)

    async def by_token(self, token: str) -> Principal | None:
        """Whose bearer token this is."""
        sql = (
            f"SELECT {COLUMNS} FROM tokens t JOIN principals p ON p.id = t.principal_id "
            "WHERE t.hash = ? AND t.revoked_at IS NULL"
        )
        return await self._database.read(_find(sql, (hash_secret(token),)))

    async def by_session(self, secret: str, now: float) -> Principal | None:
        """Whose session cookie this is."""
        sql = (
            f"SELECT {COLUMNS} FROM sessions s JOIN principals p ON p.id = s.principal_id "
            "WHERE s.hash = ? AND s.expires_at >= ?"
        )
        return await self._database.read(_find(sql, (hash_secret(secret), now)))

    async def end_session(self, secret: str) -> None:
        """Log out: the secret is worthless from now on."""
        values = (hash_secret(secret),)
        await self._database.write(lambda db: db.execute("DELETE FROM sessions WHERE hash = ?", values))


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret. The secrets are random, so a plain hash suffices and look-up is by equality."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


# Private


def _find(sql: str, values: tuple[object, ...]) -> Callable[[Connection], Principal | None]:
    def query(db: Connection) -> Principal | None:
        row = one(db, sql, values)
        return _principal(row) if row else None

    return query


def _insert(db: Connection, kind: Kind, name: str, now: float) -> Principal:
    principal = Principal(random_id(), kind, name, now)
    db.execute(
        "INSERT INTO principals (id, kind, name, created_at) VALUES (?, ?, ?, ?)", (principal.id, str(kind), name, now)
    )
    return principal


def _principal(row: Row) -> Principal:
    return Principal(row[0], Kind(row[1]), row[2], row[3], row[4])
