"""API calls of the operator about users: list, invite, suspend, resume, reset."""

from __future__ import annotations

import asyncio
from datetime import datetime

from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Principal
from steadyd.records.accounts import Account
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms
from steadyd.web.suspension import SuspendBody, reason_of


class User(schema.Strict):
    """Somebody with an account. `suspended` is the reason, or null."""

    name: str
    email: str
    created_at: datetime
    apps: int
    suspended: str | None


class UserAnswer(schema.Strict):
    user: User


class UsersAnswer(schema.Strict):
    users: list[User]


class Invitation(schema.Strict):
    """Good for one sign-up, by the link or as `invitation` in `POST /api/users`."""

    invitation: str
    url: str
    expires_at: datetime


class Reset(schema.Strict):
    """Good for one new password, by the link or as `reset` in `POST /api/passwords`."""

    reset: str
    url: str
    expires_at: datetime


async def list_users(call: Call) -> Response:
    return json_answer(UsersAnswer(users=[_shown(account) for account in await call.rooms.library.accounts.everyone()]))


async def invite_user(call: Call) -> Response:
    await call.body(schema.Nothing)
    return json_answer(await invite(call.rooms, call.principal), 201)


async def suspend_user(call: Call) -> Response:
    reason = reason_of(await call.body(SuspendBody))
    return json_answer(UserAnswer(user=_shown(await suspend(call.rooms, call.principal, _username(call), reason))))


async def resume_user(call: Call) -> Response:
    await call.body(schema.Nothing)
    return json_answer(UserAnswer(user=_shown(await resume(call.rooms, call.principal, _username(call)))))


async def reset_user(call: Call) -> Response:
    await call.body(schema.Nothing)
    return json_answer(await reset(call.rooms, _username(call)), 201)


async def invite(rooms: Rooms, by: Principal) -> Invitation:
    """A link with which one person may sign up.

    Raises:
        SteadyError: `conflict` where nobody may.
    """
    if rooms.signup == "closed":
        raise SteadyError("conflict", "This server takes no new users: it was started with --signup closed.")
    secret, expires_at = await rooms.library.accounts.invite(by, rooms.now())
    url = f"{rooms.urls.control}/signup/{secret}"
    return Invitation(invitation=secret, url=url, expires_at=shown.moment(expires_at))


async def suspend(rooms: Rooms, by: Principal, username: str, reason: str) -> Account:
    """Take a user out of service, with every app of theirs.

    Raises:
        SteadyError: `not_found`.
    """
    account = await rooms.library.accounts.suspend(username, reason)
    await _follow(rooms, by, account.principal, SUSPEND)
    return account


async def resume(rooms: Rooms, by: Principal, username: str) -> Account:
    """In good standing again.

    Raises:
        SteadyError: `not_found`.
    """
    account = await rooms.library.accounts.resume(username)
    await _follow(rooms, by, account.principal, RESUME)
    return account


async def reset(rooms: Rooms, username: str) -> Reset:
    """A link with which the user sets a new password.

    Raises:
        SteadyError: `not_found`.
    """
    secret, expires_at = await rooms.library.accounts.add_reset(username, rooms.now())
    url = f"{rooms.urls.control}/reset/{secret}"
    return Reset(reset=secret, url=url, expires_at=shown.moment(expires_at))


ALL = "/api/users"
ONE = f"{ALL}/{{username}}"
ERRORS = ("bad_request", "unauthorized", "not_found", "invalid", "unsupported_media_type", "too_large")
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_users, access=Access.OPERATOR, answers=json_of(UsersAnswer),
        summary="Everybody with an account, oldest first.", errors=("unauthorized", "not_found"),
    ),
    Endpoint(
        method="POST", path=f"{ALL}/invitations", handler=invite_user, access=Access.OPERATOR, status=201,
        body=schema.Nothing, answers=json_of(Invitation), errors=(*ERRORS, "conflict"),
        summary="A link with which one person may sign up, for a week.",
    ),
    Endpoint(
        method="POST", path=f"{ONE}/suspend", handler=suspend_user, access=Access.OPERATOR, body=SuspendBody,
        answers=json_of(UserAnswer), errors=ERRORS,
        summary="Sessions end, tokens and passwords open nothing, apps answer 451 `suspended`, until it is resumed.",
    ),
    Endpoint(
        method="POST", path=f"{ONE}/resume", handler=resume_user, access=Access.OPERATOR, body=schema.Nothing,
        answers=json_of(UserAnswer), summary="In good standing again: tokens and apps work as before.", errors=ERRORS,
    ),
    Endpoint(
        method="POST", path=f"{ONE}/reset", handler=reset_user, access=Access.OPERATOR, status=201,
        body=schema.Nothing, answers=json_of(Reset), errors=ERRORS,
        summary="A link with which the user sets a new password, for a day. Earlier ones are worthless.",
    ),
)  # fmt: skip


# Private


def _username(call: Call) -> str:
    return str(call.request.path_params["username"]).lower()


async def _follow(rooms: Rooms, by: Principal, owner: Principal, kind: str) -> None:
    """Each of the user's apps goes out of service, or comes back, as the records now say. All are tried."""
    apps = await rooms.apps.of_owner(owner.id)
    work = (rooms.controller.suspension(by, app, kind) for app in apps)
    for failed in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failed, BaseException):
            raise failed


def _shown(account: Account) -> User:
    return User(
        name=account.principal.name,
        email=shown.clean(account.email),
        created_at=shown.moment(account.principal.created_at),
        apps=account.apps,
        suspended=account.suspended or None,
    )
