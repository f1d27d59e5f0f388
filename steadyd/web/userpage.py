"""The operator's page of users: who has an account, invitations, resets, and from where nobody makes anything."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.records.accounts import Account
from steadyd.web import users
from steadyd.web.blocks import block
from steadyd.web.body import Allowance
from steadyd.web.hostpage import operators
from steadyd.web.page import Handler, Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.suspension import reason_given

PLACE = "/host/users"
PAGE_MAX = 50
DONE = {
    "suspended": "The user is suspended, with every app of theirs. They read your reason.",
    "resumed": "The user is in good standing again.",
    "blocked": "From there nobody makes an app or an account any more. What is there goes on.",
    "unblocked": "Who comes from there may make apps again.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link that works once, shown this once."""

    words: str
    url: str


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    forms: dict[str, Handler] = {
        "invite": invite, "suspend": suspend, "resume": resume, "reset": reset, "block": block_network,
        "unblock": unblock,
    }  # fmt: skip
    found = [form_route(f"{PLACE}/{verb}", operators(handler), rooms, allowance) for verb, handler in forms.items()]
    return [page_route(PLACE, operators(show), rooms), *found]


async def show(visit: Visit, error: SteadyError | None = None, link: Link | None = None) -> Response:
    query = visit.request.query_params
    q, page = query.get("q", "").strip().lower(), query.get("page", "")
    everybody = await visit.rooms.library.accounts.everyone()
    found = matching(everybody, q)
    pages = max(1, -(-len(found) // PAGE_MAX))
    number = min(max(1, int(page)), pages) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    return visit.html(
        "users.html", error.status if error else 200, error=error, link=link, q=q, total=len(everybody),
        found=found[(number - 1) * PAGE_MAX : number * PAGE_MAX], page=number, pages=pages,
        blocks=await visit.rooms.library.blocks.everything(), said=DONE.get(query.get("done", ""), ""),
    )  # fmt: skip


def matching(everybody: list[Account], q: str) -> list[Account]:
    """Those with `q`, which is in small letters, in their name or address, the newest first."""
    return [one for one in everybody[::-1] if q in one.principal.name or q in one.email.lower()]


async def invite(visit: Visit) -> Response:
    try:
        made = await users.invite(visit.rooms, visit.principal)
    except SteadyError as error:
        return await show(visit, error)
    return await show(visit, link=Link("Whoever opens this link first signs up with it, within a week.", made.url))


async def reset(visit: Visit) -> Response:
    name = visit.form.get("user", "")
    try:
        made = await users.reset(visit.rooms, name)
    except SteadyError as error:
        return await show(visit, error)
    return await show(visit, link=Link(f"With this link {name} sets a new password, once, within a day.", made.url))


async def suspend(visit: Visit) -> Response:
    name, reason = visit.form.get("user", ""), reason_given(visit.form.get("reason", ""))
    try:
        await users.suspend(visit.rooms, visit.principal, name, reason)
    except SteadyError as error:
        return await show(visit, error)
    return visit.go(f"{PLACE}?done=suspended")


async def resume(visit: Visit) -> Response:
    try:
        await users.resume(visit.rooms, visit.principal, visit.form.get("user", ""))
    except SteadyError as error:
        return await show(visit, error)
    return visit.go(f"{PLACE}?done=resumed")


async def block_network(visit: Visit) -> Response:
    try:
        await block(visit.rooms, visit.form.get("network", ""), visit.form.get("reason", ""))
    except SteadyError as error:
        return await show(visit, error)
    return visit.go(f"{PLACE}?done=blocked#blocks")


async def unblock(visit: Visit) -> Response:
    number = visit.form.get("block", "")
    try:
        await visit.rooms.library.blocks.remove(int(number) if number.isdecimal() and len(number) < 16 else 0)
    except SteadyError as error:
        return await show(visit, error)
    return visit.go(f"{PLACE}?done=unblocked#blocks")
