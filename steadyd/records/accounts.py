"""Users: their names, their passwords as argon2id hashes, invitations and resets, and who is suspended."""

from __future__ import annotations

from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal
from steadyd.records import links, people
from steadyd.records.apps import moved
from steadyd.records.links import Purpose
from steadyd.records.names import inherit
from steadyd.records.secret import hash_secret
from steadyd.store import Connection, Database, Row, one

COLUMNS = (
    f"{people.COLUMNS}, c.email, c.password, p.suspended, "
    "(SELECT count(*) FROM apps a WHERE a.owner_id = p.id AND a.deleted_at IS NULL)"
)
FROM = "FROM accounts c JOIN principals p ON p.id = c.principal_id"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody signs up with. `username` follows the rules, `password` is hashed already."""

    username: str
    email: str
    password: str
    invitation: str | None = None
    """The secret of an invitation that this sign-up uses up."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what they log in by. `suspended` is the reason, or "" for a user in good standing."""

    principal: Principal
    email: str
    password: str
    suspended: str = ""
    apps: int = 0
    """How many they have, deleted ones apart."""


class Accounts:
    """The table `accounts`, beside `principals`. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sign_up(self, new: NewAccount, guest: Principal | None, now: float) -> Principal:
        """A new user; what `guest` owned is theirs, to keep, and the guest is no more. All of it or nothing.

        Raises:
            SteadyError: `name_taken`; `forbidden` for an invitation that is unknown, used or too old.
        """

        def write(db: Connection) -> Principal:
            if new.invitation is not None and links.take(db, new.invitation, Purpose.INVITATION, now) is None:
                raise SteadyError("forbidden", "This invitation is unknown, used or too old. Ask for a new one.")
            if one(db, "SELECT 1 FROM accounts WHERE username = ?", (new.username,)):
                raise SteadyError("name_taken", f"The user name “{new.username}” is taken.", {"name": new.username})
            made = people.insert(db, Kind.USER, new.username, now)
            values = (made.id, new.username, new.email, new.password)
            db.execute("INSERT INTO accounts (principal_id, username, email, password) VALUES (?, ?, ?, ?)", values)
            if guest is not None:
                _adopt(db, made, guest, now)
            return made

        return await self._database.write(write)

    async def adopt(self, user: Principal, guest: Principal, now: float) -> None:
        """What the guest owned becomes the user's, to keep, and the guest is no more."""
        await self._database.write(lambda db: _adopt(db, user, guest, now))

    async def by_username(self, username: str) -> Account | None:
        sql = f"SELECT {COLUMNS} {FROM} WHERE c.username = ?"
        return await self._database.read(lambda db: _account(one(db, sql, (username,))))

    async def of(self, principal_id: str) -> Account | None:
        """One person's; None for somebody without one."""
        sql = f"SELECT {COLUMNS} {FROM} WHERE c.principal_id = ?"
        return await self._database.read(lambda db: _account(one(db, sql, (principal_id,))))

    async def set_email(self, principal_id: str, email: str) -> None:
        """Where its owner is reached; "" for nowhere."""
        sql = "UPDATE accounts SET email = ? WHERE principal_id = ?"
        await self._database.write(lambda db: db.execute(sql, (email, principal_id)))

    async def everyone(self) -> list[Account]:
        """All users, oldest first."""
        sql = f"SELECT {COLUMNS} {FROM} ORDER BY p.created_at, c.username"

        def read(db: Connection) -> list[Account]:
            return [account for row in db.execute(sql) if (account := _account(row)) is not None]

        return await self._database.read(read)

    async def set_password(self, principal_id: str, password: str) -> None:
        """The same password, hashed otherwise."""
        sql = "UPDATE accounts SET password = ? WHERE principal_id = ?"
        await self._database.write(lambda db: db.execute(sql, (password, principal_id)))

    async def change_password(self, principal_id: str, password: str, session: str) -> None:
        """Another password. Every session ends but the one with the secret `session`."""

        def write(db: Connection) -> None:
            db.execute("UPDATE accounts SET password = ? WHERE principal_id = ?", (password, principal_id))
            others = "DELETE FROM sessions WHERE principal_id = ? AND hash != ?"
            db.execute(others, (principal_id, hash_secret(session)))

        await self._database.write(write)

    async def invite(self, by: Principal, now: float) -> tuple[str, float]:
        """The secret of an invitation, and when it expires."""
        return await self._database.write(lambda db: links.insert(db, by.id, Purpose.INVITATION, now))

    async def add_reset(self, username: str, now: float) -> tuple[str, float]:
        """The secret of a link that sets a new password, and when it expires. Earlier ones are worthless.

        Raises:
            SteadyError: `not_found` if there is no such user.
        """
        return await self._database.write(lambda db: links.insert(db, _id(db, username), Purpose.RESET, now))

    async def reset(self, secret: str, password: str, now: float) -> Principal:
        """Use up a reset: the new password counts, and every session of the user is ended.

        Raises:
            SteadyError: `forbidden` if the secret is unknown, used or too old.
        """

        def write(db: Connection) -> Principal:
            found = links.take(db, secret, Purpose.RESET, now)
            row = one(db, f"SELECT {COLUMNS} {FROM} WHERE p.id = ?", (found,)) if found else None
            account = _account(row)
            if account is None:
                raise SteadyError("forbidden", "This reset link is unknown, used or too old. Ask for a new one.")
            db.execute("UPDATE accounts SET password = ? WHERE principal_id = ?", (password, account.principal.id))
            db.execute("DELETE FROM sessions WHERE principal_id = ?", (account.principal.id,))
            return account.principal

        return await self._database.write(write)

    async def suspend(self, username: str, reason: str) -> Account:
        """Sessions end, tokens count no more, and apps answer nobody, until `resume`.

        Raises:
            SteadyError: `not_found` if there is no such user.
        """

        def write(db: Connection) -> Account:
            principal_id = _id(db, username)
            db.execute("UPDATE principals SET suspended = ? WHERE id = ?", (reason, principal_id))
            db.execute("DELETE FROM sessions WHERE principal_id = ?", (principal_id,))
            return _the(db, username)

        return await self._database.write(write)

    async def resume(self, username: str) -> Account:
        """In good standing again.

        Raises:
            SteadyError: `not_found` if there is no such user.
        """

        def write(db: Connection) -> Account:
            db.execute("UPDATE principals SET suspended = NULL WHERE id = ?", (_id(db, username),))
            return _the(db, username)

        return await self._database.write(write)


# Private


def _id(db: Connection, username: str) -> str:
    row = one(db, "SELECT principal_id FROM accounts WHERE username = ?", (username,))
    if row is None:
        raise SteadyError("not_found", "There is no such user. GET /api/users lists them.", {"name": username[:60]})
    return str(row[0])


def _adopt(db: Connection, user: Principal, guest: Principal, now: float) -> None:
    for (app_id,) in db.execute("SELECT id FROM apps WHERE owner_id = ?", (guest.id,)).fetchall():
        moved(str(app_id), user, now)(db)
    inherit(db, guest.id, user.id)
    notify = "UPDATE principals SET notify = (SELECT notify FROM principals WHERE id = ?) WHERE id = ? AND notify = ''"
    db.execute(notify, (guest.id, user.id))
    db.execute("DELETE FROM principals WHERE id = ? AND kind = 'guest'", (guest.id,))


def _the(db: Connection, username: str) -> Account:
    account = _account(one(db, f"SELECT {COLUMNS} {FROM} WHERE c.username = ?", (username,)))
    assert account is not None
    return account


def _account(row: Row | None) -> Account | None:
    return Account(people.principal_of(row), row[5], row[6], row[7] or "", row[8]) if row else None
