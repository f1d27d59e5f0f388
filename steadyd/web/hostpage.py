"""The operator's page of this host: what it carries, what is wrong, and every app with what it uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Kind
from steadyd.web.answers import nowhere
from steadyd.web.blocks import block
from steadyd.web.body import Allowance
from steadyd.web.host import gather
from steadyd.web.inventory import present, taken
from steadyd.web.listing import SORTS, listed, read_wish
from steadyd.web.page import Handler, Visit, absent, form_route, page_route
from steadyd.web.rate import bucket
from steadyd.web.rooms import Rooms
from steadyd.web.suspension import reason_given, set_suspended

Work = Callable[[App], Awaitable[None]]

DONE = {
    "suspended": "The app is suspended. It answers nobody; its owner reads your reason.",
    "resumed": "The app is back, asleep.",
    "deleted": "The app is deleted. Its owner can bring it back while it is kept.",
    "blocked": "From there nobody makes an app or an account any more. What is there goes on.",
}


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    forms: dict[str, Handler] = {
        "suspend": suspend, "resume": resume, "delete": delete, "block": block_owner,
    }  # fmt: skip
    found = [form_route(f"/host/apps/{verb}", operators(handler), rooms, allowance) for verb, handler in forms.items()]
    return [page_route("/host", operators(show), rooms), *found]


def operators(handler: Handler) -> Handler:
    """The handler for the operator; to everybody else there is nothing."""

    async def serve(visit: Visit) -> Response:
        if visit.caller.principal is None or not visit.caller.principal.is_operator:
            raise nowhere()
        return await handler(visit)

    return serve


async def show(visit: Visit, error: SteadyError | None = None) -> Response:
    rooms, apps = visit.rooms, await visit.rooms.apps.everything()
    listing = listed(taken(rooms, apps), read_wish(visit.request.query_params))
    guests = {row.app.owner_id for row in listing.rows if row.app.owner_kind is Kind.GUEST}
    came = await rooms.people.addresses(guests)
    addresses = {guest: address for guest, address in came.items() if bucket(address)}  # nobody blocks this machine
    return visit.html(
        "host.html", error.status if error else 200, error=error, host=await gather(rooms, apps), listing=listing,
        rows=present(rooms, listing.rows), addresses=addresses,
        sorts={name: words for name, (words, _, _) in SORTS.items()},
        said=DONE.get(visit.request.query_params.get("done", ""), ""),
    )  # fmt: skip


async def suspend(visit: Visit) -> Response:
    async def work(app: App) -> None:
        await set_suspended(visit.rooms, visit.principal, app, reason_given(visit.form.get("reason", "")))

    return await _done(visit, "suspended", work)


async def resume(visit: Visit) -> Response:
    async def work(app: App) -> None:
        await set_suspended(visit.rooms, visit.principal, app, None)

    return await _done(visit, "resumed", work)


async def delete(visit: Visit) -> Response:
    async def work(app: App) -> None:
        await visit.rooms.removal.delete(visit.principal, app)

    return await _done(visit, "deleted", work)


async def block_owner(visit: Visit) -> Response:
    """Where a guest came from who made an app."""

    async def work(app: App) -> None:
        address = (await visit.rooms.people.addresses([app.owner_id])).get(app.owner_id, "")
        await block(visit.rooms, address, visit.form.get("reason", ""))

    return await _done(visit, "blocked", work)


# Private


async def _done(visit: Visit, word: str, work: Work) -> Response:
    name = visit.form.get("app", "")
    try:
        app = await visit.rooms.apps.by_name(name)
        if app is None or app.deleted_at is not None:
            raise absent(name)
        await work(app)
    except SteadyError as error:
        return await show(visit, error)
    return visit.go(f"/host?done={word}")
