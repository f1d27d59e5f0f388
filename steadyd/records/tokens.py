"""Bearer tokens: whose they are, what they let their holder do, and until when. Stored as SHA-256 only."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal, Scope
from steadyd.records.secret import PUBLIC_ID, hash_secret, public_id
from steadyd.store import Connection, Database, one

TOKEN_PREFIX = "steady_"
TOKENS_PER_PERSON_MAX = 200
"""Of those that a person asked for, and as many again of those that came with curl lines."""
LABEL_CHARACTERS_MAX = 80
USED_SECONDS = 60.0
"""A token's last use is written at most once in this time."""
COLUMNS = "t.hash, t.label, t.scope, t.app_id, a.name, t.created_at, t.expires_at, t.last_used_at"
FROM = "FROM tokens t LEFT JOIN apps a ON a.id = t.app_id"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new token should be. `app_id` limits it to one app; `expires_at` None is never."""

    label: str
    scope: Scope = Scope.ALL
    app_id: str | None = None
    expires_at: float | None = None
    asked: bool = True
    """Whether somebody wanted it; else it came with a curl line, and gives way to newer ones of its kind."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it. `id` tells it from others, and is no secret."""

    id: str
    label: str
    scope: Scope
    app_id: str | None
    app_name: str | None
    created_at: float
    expires_at: float | None
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody who shows a token may do: as whom, how much, and "" or the one app it is for."""

    principal: Principal
    scope: Scope
    app_id: str = ""

    @property
    def is_limited(self) -> bool:
        """It is not for everything that its owner may do."""
        return self.scope is not Scope.ALL or bool(self.app_id)


class Tokens:
    """The table `tokens`. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, principal: Principal, wish: Wish, now: float) -> tuple[str, Token]:
        """A new token and what is known of it; this is the only time that the secret can be read.

        Raises:
            SteadyError: `conflict` above TOKENS_PER_PERSON_MAX.
        """

        def write(db: Connection) -> tuple[str, Token]:
            db.execute("DELETE FROM tokens WHERE principal_id = ? AND expires_at < ?", (principal.id, now))
            row = one(db, "SELECT count(*) FROM tokens WHERE principal_id = ? AND asked", (principal.id,))
            if row is not None and int(row[0]) >= TOKENS_PER_PERSON_MAX:
                raise SteadyError("conflict", f"A person has at most {TOKENS_PER_PERSON_MAX} tokens. Revoke one first.")
            secret = insert(db, principal.id, wish, now)
            return secret, next(token for token in _of(db, principal.id) if token.id == public_id(hash_secret(secret)))

        return await self._database.write(write)

    async def of(self, principal_id: str) -> list[Token]:
        """One person's, newest first."""
        return await self._database.read(lambda db: _of(db, principal_id))

    async def revoke(self, principal_id: str, token_id: str) -> None:
        """It is worthless from now on.

        Raises:
            SteadyError: `not_found` if this person has no such token.
        """

        def write(db: Connection) -> None:
            db.execute(f"DELETE FROM tokens WHERE principal_id = ? AND {PUBLIC_ID} = ?", (principal_id, token_id))
            if not db.changes():
                raise SteadyError("not_found", "You have no such token. GET /api/tokens lists yours.")

        await self._database.write(write)

    async def find(self, secret: str, now: float) -> Grant | None:
        """What `secret` allows; None if it is none, is revoked or has expired, or its owner is suspended."""
        sql = (
            "SELECT p.id, p.kind, p.name, p.created_at, p.notify, t.scope, t.app_id, t.last_used_at "
            "FROM tokens t JOIN principals p ON p.id = t.principal_id "
            "WHERE t.hash = ? AND (t.expires_at IS NULL OR t.expires_at > ?) AND p.suspended IS NULL"
        )
        hashed = hash_secret(secret)
        row = await self._database.read(lambda db: one(db, sql, (hashed, now)))
        if row is None:
            return None
        if now - (row[7] or 0.0) >= USED_SECONDS:
            used = "UPDATE tokens SET last_used_at = ? WHERE hash = ?"
            with contextlib.suppress(SteadyError):  # on a full disk, a token still opens the door
                await self._database.write(lambda db: db.execute(used, (now, hashed)))
        return Grant(Principal(row[0], Kind(row[1]), row[2], row[3], row[4]), Scope(row[5]), row[6] or "")


def insert(db: Connection, principal_id: str, wish: Wish, now: float) -> str:
    """Within a transaction: a new token's secret. Of those that nobody asked for, the one used longest ago goes."""
    old = (
        "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE principal_id = ? AND NOT asked "
        "ORDER BY coalesce(last_used_at, created_at) DESC LIMIT -1 OFFSET ?)"
    )
    if not wish.asked:
        db.execute(old, (principal_id, TOKENS_PER_PERSON_MAX - 1))
    secret = TOKEN_PREFIX + secrets.token_urlsafe(24)
    kind = (str(wish.scope), wish.app_id, wish.expires_at, wish.asked)
    columns = "hash, principal_id, label, created_at, scope, app_id, expires_at, asked"
    values = (hash_secret(secret), principal_id, wish.label, now, *kind)
    db.execute(f"INSERT INTO tokens ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return secret


# Private


def _of(db: Connection, principal_id: str) -> list[Token]:
    sql = f"SELECT {COLUMNS} {FROM} WHERE t.principal_id = ? ORDER BY t.created_at DESC, t.hash"
    return [
        Token(public_id(row[0]), row[1], Scope(row[2]), row[3], row[4], row[5], row[6], row[7])
        for row in db.execute(sql, (principal_id,))
    ]
