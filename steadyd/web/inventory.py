"""The page of one's apps: searched, sorted, by the page. What each uses comes from memory, however many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from starlette.responses import Response
from starlette.routing import Route

from steadyd.model import App, AppState
from steadyd.web import shown
from steadyd.web.frame import SENTENCES
from steadyd.web.listing import SORTS, Row, listed, read_wish
from steadyd.web.page import Visit, page_route
from steadyd.web.rooms import Rooms

DELETED_SHOWN_MAX = 6
"""Of the deleted ones, below the others; a list of their own has them all."""
SORTS_SHOWN = ("changed", "name", "memory", "requests")
AWAKE = (AppState.RUNNING, AppState.FROZEN)


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/apps", list_apps, rooms)]


async def list_apps(visit: Visit) -> Response:
    rooms, principal = visit.rooms, visit.caller.principal
    if principal is None:
        return visit.html("login.html", next="/apps", error=None, reason="Log in to see your apps.")
    wish = read_wish(visit.request.query_params)
    deleted = await rooms.apps.of_owner(principal.id, deleted=True)
    own = deleted if wish.state == AppState.DELETED else await rooms.apps.of_owner(principal.id)
    listing = listed(taken(rooms, own), wish)
    gone = next((app for app in deleted if app.name == visit.request.query_params.get("deleted")), None)
    core = taken(rooms, [rooms.core] if rooms.core is not None and principal.is_operator else [])
    return visit.html(
        "apps.html", listing=listing, rows=present(rooms, listing.rows), core=present(rooms, core),
        deleted=deleted, shown=DELETED_SHOWN_MAX, gone=gone, sentences=SENTENCES,
        sorts={name: SORTS[name][0] for name in SORTS_SHOWN},
    )  # fmt: skip


def taken(rooms: Rooms, apps: Iterable[App]) -> list[Row]:
    """Each app with what it uses, as of the last look at it: nothing is read."""
    now = rooms.now()
    return [_row(rooms, app, now) for app in apps]


def present(rooms: Rooms, rows: Iterable[Row]) -> list[Row]:
    """The rows of a page with what is true at this moment of those that are awake."""
    return [
        replace(row, memory_bytes=rooms.fleet.usage(row.app.id).memory_bytes) if row.state in AWAKE else row
        for row in rows
    ]


# Private


def _row(rooms: Rooms, app: App, now: float) -> Row:
    state, place = shown.state(rooms, app), rooms.fleet.ground.place(app)
    used, reading = rooms.workshop.quota.used(place.app), rooms.metrics.latest(app.id)
    awake = reading if state in AWAKE else None
    return Row(
        app=app,
        state=state,
        url=rooms.url_of(app),
        memory_bytes=awake.memory_bytes if awake else 0,
        cpus=rooms.metrics.load(app.id) if awake else 0.0,
        disk_bytes=used.bytes if used is not None else None,
        requests=rooms.requests.lately.of(app.id, now),
    )
