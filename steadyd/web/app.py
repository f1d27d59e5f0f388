"""The control plane as one ASGI app: the list of layers, the list of routes."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.web import (
    account,
    activity,
    apps,
    archives,
    backups,
    blocks,
    changed,
    claims,
    components,
    crons,
    databases,
    deploys,
    description,
    differences,
    diffs,
    edits,
    entrance,
    env,
    forks,
    forms,
    front,
    gauges,
    history,
    host,
    hostpage,
    inventory,
    live,
    logs,
    me,
    metrics,
    moments,
    names,
    notify,
    operations,
    ownership,
    pages,
    people,
    preferences,
    previews,
    reference,
    repl,
    requests,
    rows,
    series,
    settings,
    static,
    story,
    streams,
    suspension,
    tables,
    targets,
    timetable,
    tokens,
    transfers,
    tries,
    types,
    userpage,
    users,
    versions,
)
from steadyd.web.answers import error_answer, from_http_exception
from steadyd.web.background import Background
from steadyd.web.body import Allowance
from steadyd.web.endpoint import Endpoint, routes
from steadyd.web.layers import CrossSite, Drain, Failures, Headers, Superseded
from steadyd.web.rooms import Rooms

__all__ = ["Rooms", "build"]


def build(rooms: Rooms) -> Starlette:
    """The whole control plane over `rooms`."""
    allowance = Allowance()
    found = endpoints(rooms)
    web = Starlette(
        routes=[
            *routes(found, rooms, allowance, Background(rooms).run),
            *static.routes(),
            *front.routes(rooms, allowance),
            *pages.routes(rooms),
            *inventory.routes(rooms),
            *components.routes(rooms),
            *reference.routes(rooms),
            *live.routes(rooms),
            *logs.routes(rooms),
            *requests.routes(rooms),
            *forms.routes(rooms, allowance),
            *preferences.routes(rooms, allowance),
            *history.routes(rooms, allowance),
            *claims.routes(rooms, allowance),
            *tables.routes(rooms),
            *edits.routes(rooms, allowance),
            *differences.routes(rooms, allowance),
            *moments.routes(rooms, allowance),
            *gauges.routes(rooms),
            *story.routes(rooms),
            *activity.routes(rooms, allowance),
            *timetable.routes(rooms, allowance),
            *entrance.routes(rooms, allowance),
            *account.routes(rooms, allowance),
            *hostpage.routes(rooms, allowance),
            *userpage.routes(rooms, allowance),
        ],
        # Outermost first.
        middleware=[
            Middleware(Drain),
            Middleware(Failures),
            Middleware(Headers),
            Middleware(CrossSite, urls=rooms.urls),
            Middleware(Superseded, superseded=rooms.superseded),
        ],
        exception_handlers={SteadyError: _answer, HTTPException: _answer},
    )
    web.state.lacking, web.state.urls = rooms.lacking, rooms.urls
    # A redirect to the same address without its slash would name a host that only our own proxy knows for sure.
    web.router.redirect_slashes = False
    return web


def endpoints(rooms: Rooms) -> tuple[Endpoint, ...]:
    """Every API call there is."""
    calls = (
        *apps.ENDPOINTS,
        *names.ENDPOINTS,
        *ownership.ENDPOINTS,
        *deploys.ENDPOINTS,
        *versions.ENDPOINTS,
        *forks.ENDPOINTS,
        *archives.ENDPOINTS,
        *backups.ENDPOINTS,
        *diffs.ENDPOINTS,
        *types.ENDPOINTS,
        *logs.ENDPOINTS,
        *requests.ENDPOINTS,
        *streams.ENDPOINTS,
        *settings.ENDPOINTS,
        *env.ENDPOINTS,
        *notify.ENDPOINTS,
        *databases.ENDPOINTS,
        *rows.ENDPOINTS,
        *changed.ENDPOINTS,
        *transfers.ENDPOINTS,
        *repl.ENDPOINTS,
        *previews.ENDPOINTS,
        *tries.ENDPOINTS,
        *metrics.ENDPOINTS,
        *series.ENDPOINTS,
        *activity.ENDPOINTS,
        *targets.ENDPOINTS,
        *crons.ENDPOINTS,
        *operations.ENDPOINTS,
        *host.ENDPOINTS,
        *blocks.ENDPOINTS,
        *me.ENDPOINTS,
        *people.ENDPOINTS,
        *tokens.ENDPOINTS,
        *users.ENDPOINTS,
        *suspension.ENDPOINTS,
    )
    return (*calls, *description.endpoints(calls, rooms.urls.control))


# Private


async def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = from_http_exception(error)
    assert isinstance(error, SteadyError)
    return error_answer(request, error)
