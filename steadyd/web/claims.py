"""The page where somebody with an account keeps an app: a temporary one of theirs, or a guest's, by its token."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Kind
from steadyd.web import auth
from steadyd.web.body import Allowance
from steadyd.web.ownership import check_claim, holder_of
from steadyd.web.page import Visit, absent, form_route, page_route
from steadyd.web.rooms import Rooms

PATH = "/apps/{name}/claim"


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    return [page_route(PATH, show_claim, rooms), form_route(PATH, claim, rooms, allowance)]


async def show_claim(visit: Visit) -> Response:
    return _show(visit, await _there(visit))


async def claim(visit: Visit) -> Response:
    app, rooms, by = await _there(visit), visit.rooms, visit.caller.principal
    token = visit.form.get("token", "").strip()
    try:
        if by is None:
            raise SteadyError("unauthorized", "Log in or sign up first. Then show the token here.")
        if token:
            rooms.logins.take(auth.client_address(visit.request), rooms.now())
        holder = await holder_of(rooms, app, token)
        check_claim(app, by, [holder] if holder is not None else [])
        if app.owner_id != by.id or app.temporary:
            app = await rooms.identity.claim(by, app)
    except SteadyError as error:
        return _show(visit, app, error)
    return visit.go(f"/apps/{app.name}/settings?done=claimed")


# Private


async def _there(visit: Visit) -> App:
    """Whoever knows the name of an app knows that it is there.

    Raises:
        SteadyError: `not_found`.
    """
    name = visit.request.path_params["name"]
    app = await visit.rooms.apps.by_name(name)
    if app is None or app.version == 0 or app.deleted_at is not None:
        raise absent(name)
    return app


def _show(visit: Visit, app: App, error: SteadyError | None = None) -> Response:
    who = visit.caller.principal
    return visit.html(
        "claim.html", error.status if error else 200, app=app, error=error, mine=visit.caller.owns(app),
        can=who is not None and who.kind is not Kind.GUEST,
    )  # fmt: skip
