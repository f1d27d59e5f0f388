"""The page of whoever looks: who they are, where they are logged in, their tokens, and the way out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Kind
from steadyd.records import people
from steadyd.records.accounts import Account
from steadyd.records.tokens import Token
from steadyd.web import auth
from steadyd.web.agents import in_words
from steadyd.web.body import Allowance, convert
from steadyd.web.entry import change_password, check_password
from steadyd.web.me import MeBody
from steadyd.web.me import change as change_me
from steadyd.web.notify import send_test
from steadyd.web.page import Handler, Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.tokens import TokenBody, grant

EXPIRIES = {"": "never", "7": "in a week", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}
"""Days that a token made here is good for."""
DONE = {
    "nickname": "You are called that now.",
    "notices": "Your address is set.",
    "tested": "The test notice was taken. Look whether it has arrived.",
    "password": "Your password is set, and every other browser was logged out. Tokens go on.",
    "ended": "That browser is logged out.",
    "others": "Every other browser is logged out.",
    "revoked": "That token opens nothing any more.",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A form of the page that was refused: which, why, and what was typed, secrets left out."""

    form: str = ""
    error: SteadyError | None = None
    typed: dict[str, str] = field(default_factory=dict)
    token: str = ""
    """A new token's secret, shown this once."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere this person is logged in. `here` is the browser that looks."""

    session: people.Session
    words: str
    here: bool


@dataclass(frozen=True, slots=True)
class AccountView:
    """All that the page shows."""

    account: Account | None
    places: list[Place]
    tokens: list[Token]
    apps: list[App]
    deleted: int
    sent: Sent
    said: str


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    forms: dict[str, Handler] = {
        "nickname": rename, "notices": set_notices, "notices/test": test_notice, "password": set_password,
        "sessions": end_sessions, "tokens": make_token, "tokens/revoke": revoke_token, "delete": delete,
    }  # fmt: skip
    found = [form_route(f"/account/{path}", known(handler), rooms, allowance) for path, handler in forms.items()]
    return [page_route("/account", known(account), rooms), *found]


def known(handler: Handler) -> Handler:
    """The handler for whoever is logged in; to others, the way in."""

    async def serve(visit: Visit) -> Response:
        if visit.caller.principal is None:
            return visit.html("login.html", 200, next="/account", error=None, reason="Log in to see your account.")
        return await handler(visit)

    return serve


async def account(visit: Visit) -> Response:
    return await _show(visit)


async def rename(visit: Visit) -> Response:
    """A guest's nickname."""
    return await _change(visit, "nickname", MeBody(nickname=visit.form.get("nickname", "")))


async def set_notices(visit: Visit) -> Response:
    """E-mail address and where notices go."""
    body = MeBody(notify=visit.form.get("notify", "").strip() or None)
    if visit.principal.kind is Kind.USER:
        body.email = visit.form.get("email", "")
    return await _change(visit, "notices", body)


async def test_notice(visit: Visit) -> Response:
    try:
        await send_test(visit.rooms, visit.principal, None, auth.client_address(visit.request))
    except SteadyError as error:
        return await _show(visit, Sent("notices", error))
    return visit.go("/account?done=tested#notices")


async def set_password(visit: Visit) -> Response:
    current, password = visit.form.get("current", ""), visit.form.get("password", "")
    address = auth.client_address(visit.request)
    try:
        await change_password(visit.rooms, visit.caller, address, current, password)
    except SteadyError as error:
        return await _show(visit, Sent("password", error))
    return visit.go("/account?done=password#password")


async def end_sessions(visit: Visit) -> Response:
    """One browser, or every other one. Where it ended meanwhile, nothing is left to do."""
    who, one = visit.principal, visit.form.get("session", "")
    if not one:
        await visit.rooms.people.end_other_sessions(who.id, visit.caller.secret)
        return visit.go("/account?done=others#sessions")
    try:
        await visit.rooms.people.revoke_session(who.id, one)
    except SteadyError as error:
        return await _show(visit, Sent("sessions", error))
    return visit.go("/account?done=ended#sessions")


async def make_token(visit: Visit) -> Response:
    form = visit.form
    typed = {name: form.get(name, "").strip() for name in ("label", "scope", "app", "expires_in_days")}
    try:
        body = convert({name: said for name, said in typed.items() if said}, TokenBody, strict_names=False)
        secret, _ = await grant(visit.rooms, visit.caller, body)
    except SteadyError as error:
        return await _show(visit, Sent("tokens", error, typed))
    return await _show(visit, Sent("tokens", token=secret))


async def revoke_token(visit: Visit) -> Response:
    try:
        await visit.rooms.library.tokens.revoke(visit.principal.id, visit.form.get("token", ""))
    except SteadyError as error:
        return await _show(visit, Sent("tokens", error))
    return visit.go("/account?done=revoked#tokens")


async def delete(visit: Visit) -> Response:
    """The person is forgotten, with every app of theirs, for good; the last step fails while there is an app left."""
    rooms, who = visit.rooms, visit.principal
    try:
        if who.is_operator:
            raise SteadyError("forbidden", "A host has one operator, and keeps it.")
        if visit.form.get("name", "").strip() != who.name:
            raise SteadyError("invalid", f"Type “{who.name}” to say that you mean it.", {"field": "name"})
        if who.kind is Kind.USER:
            await check_password(rooms, auth.client_address(visit.request), who, visit.form.get("password", ""))
        for app in [app for gone in (False, True) for app in await rooms.apps.of_owner(who.id, deleted=gone)]:
            await rooms.removal.purge(who, app)
        await rooms.people.remove(who)
        if await rooms.people.by_id(who.id) is not None:
            raise SteadyError("conflict", "An app was made meanwhile, so your account is still there. Do it again.")
    except SteadyError as error:
        return await _show(visit, Sent("delete", error))
    response = visit.go("/")
    auth.end_session(visit.request, response, rooms.urls)
    return response


# Private


async def _change(visit: Visit, form: str, body: MeBody) -> Response:
    try:
        await change_me(visit.rooms, visit.principal, body)
    except SteadyError as error:
        return await _show(visit, Sent(form, error, visit.form))
    return visit.go(f"/account?done={form}#{form}")


async def _show(visit: Visit, sent: Sent = Sent()) -> Response:
    rooms, who, secret = visit.rooms, visit.principal, visit.caller.secret
    sessions, tokens, apps, gone, account = await asyncio.gather(
        rooms.people.sessions(who.id, rooms.now()),
        rooms.library.tokens.of(who.id),
        rooms.apps.of_owner(who.id),
        rooms.apps.of_owner(who.id, deleted=True),
        rooms.library.accounts.of(who.id),
    )
    view = AccountView(
        account=account,
        places=[Place(session, in_words(session.agent), session.is_of(secret)) for session in sessions],
        tokens=tokens,
        apps=apps,
        deleted=len(gone),
        sent=sent,
        said=DONE.get(visit.request.query_params.get("done", ""), ""),
    )
    status = sent.error.status if sent.error else 200
    return visit.html("account.html", status, view=view, me=who, expiries=EXPIRIES)
