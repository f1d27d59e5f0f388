"""How somebody comes in: signing up, and logging in by name and password. For the API and the forms alike."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.model import Kind, Principal, check_username
from steadyd.passwords import check_password as well_formed
from steadyd.records.accounts import NewAccount
from steadyd.web.auth import Caller
from steadyd.web.rate import bucket
from steadyd.web.rooms import Rooms

EMAIL_CHARACTERS_MAX = 254
"""RFC 5321 allows a path of 256 with its brackets."""
EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\Z")
NAME_CHARACTERS = 64
"""Of a name that is tried; none that exists is so long."""
CLOSED = "This server takes no new users. Ask its operator."
INVITED_ONLY = "This server takes new users by invitation only. Ask its operator for one and send it as “invitation”."


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody signs up with, as they typed it."""

    username: str
    password: str
    email: str = ""
    invitation: str = ""


async def sign_up(rooms: Rooms, caller: Caller, address: str, new: Newcomer) -> Principal:
    """Make a user. A guest's apps become theirs. The operator may make one whatever the rule for sign-up is.

    Raises:
        SteadyError: `forbidden` where the server takes nobody, or only with an invitation; `invalid_name`,
            `name_taken`, `invalid`, `rate_limited`, `overloaded`.
    """
    by_operator = caller.principal is not None and caller.principal.is_operator
    if not by_operator:
        _refuse_uninvited(rooms.signup, new.invitation)
    username, password = check_username(new.username), well_formed(new.password)
    email = checked_email(new.email)
    if not by_operator:
        await rooms.library.blocks.check(address)
        rooms.signups.take(address, rooms.now())
    invitation = new.invitation if rooms.signup == "invite" and not by_operator else None
    account = NewAccount(username, email, await rooms.passwords.hash(password), invitation)
    guest = guest_of(caller)
    made = await rooms.library.accounts.sign_up(account, guest, rooms.now())
    if guest is not None:
        await _settle(rooms, made)
    return made


async def log_in(rooms: Rooms, caller: Caller, address: str, username: str, password: str) -> Principal:
    """Whose name and password these are. An unknown name gets the same answer, in the same time. A guest's apps become
    theirs.

    Raises:
        SteadyError: `unauthorized`, `rate_limited`, `overloaded`; `suspended` after the right password.
    """
    rooms.logins.take(address, rooms.now())
    name, place = username.lower()[:NAME_CHARACTERS], bucket(address) or "loopback"
    rooms.attempts.begin(name, place, rooms.ticks())
    account = await rooms.library.accounts.by_username(name)
    try:
        checked = await rooms.passwords.check(password, account.password if account else None)
    except SteadyError:
        rooms.attempts.undo(name, place)  # it was not looked at
        raise
    if account is None or not checked.right:
        raise SteadyError("unauthorized", "The user name or the password is wrong.")
    rooms.attempts.right(name, place)
    if account.suspended:
        raise SteadyError("suspended", f"Your account is suspended. The operator wrote: {account.suspended}")
    if checked.again:
        await rooms.library.accounts.set_password(account.principal.id, checked.again)
    guest = guest_of(caller)
    if guest is not None:
        await rooms.library.accounts.adopt(account.principal, guest, rooms.now())
        await _settle(rooms, account.principal)
    return account.principal


async def reset(rooms: Rooms, address: str, secret: str, password: str) -> Principal:
    """Set a new password by a reset link; every session of the user's ends.

    Raises:
        SteadyError: `forbidden` for a link that is unknown, used or too old; `invalid`, `rate_limited`, `overloaded`.
    """
    rooms.logins.take(address, rooms.now())
    hashed = await rooms.passwords.hash(password)
    principal = await rooms.library.accounts.reset(secret, hashed, rooms.now())
    rooms.attempts.forgive(principal.name)
    return principal


async def change_password(rooms: Rooms, caller: Caller, address: str, current: str, password: str) -> Principal:
    """Set a new password by the old one; every other session of the user's ends.

    Raises:
        SteadyError: `unauthorized` for somebody without a password, or with another one; as `reset` for the rest.
    """
    principal = caller.principal
    if principal is None or principal.kind is not Kind.USER:
        raise SteadyError("unauthorized", "Only who has an account has a password: log in first, or use a reset link.")
    well_formed(password)
    await check_password(rooms, address, principal, current)
    kept = caller.secret if caller.via == "session" else ""
    await rooms.library.accounts.change_password(principal.id, await rooms.passwords.hash(password), kept)
    return principal


async def check_password(rooms: Rooms, address: str, user: Principal, password: str) -> None:
    """Whether somebody who is logged in knows their password, too.

    Raises:
        SteadyError: `unauthorized`, `rate_limited`, `overloaded`.
    """
    try:
        await log_in(rooms, Caller(), address, user.name, password)
    except SteadyError as error:
        wrong = SteadyError("unauthorized", "That is not your present password.", {"field": "password"})
        raise (wrong if error.code == "unauthorized" else error) from None


def guest_of(caller: Caller) -> Principal | None:
    """The guest who becomes a user, if one asks with all that they may."""
    principal = caller.principal
    return principal if principal is not None and principal.kind is Kind.GUEST and not caller.is_limited else None


def checked_email(email: str) -> str:
    """`email` if it is an address, or "".

    Raises:
        SteadyError: `invalid`.
    """
    if email and (len(email) > EMAIL_CHARACTERS_MAX or not EMAIL.match(email)):
        raise SteadyError(
            "invalid", "This is no e-mail address. Write NAME@DOMAIN, or leave it out.", {"field": "email"}
        )
    return email


# Private


def _refuse_uninvited(signup: str, invitation: str) -> None:
    if signup == "closed":
        raise SteadyError("forbidden", CLOSED)
    if signup == "invite" and not invitation:
        raise SteadyError("forbidden", INVITED_ONLY)


async def _settle(rooms: Rooms, owner: Principal) -> None:
    """What a guest's apps may use and reach follows their owner, at once."""
    await rooms.fleet.publish_routes()
    for app in await rooms.apps.of_owner(owner.id):
        with contextlib.suppress(SteadyError):  # what does not start now has it from its next start on
            await rooms.controller.settle(owner, app, lambda chosen: chosen)
