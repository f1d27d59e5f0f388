"""The page of what became of an app: operations with their steps, death cards and events, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.history import SORTS, Cursor, Entry, Page, parse_cursor
from steadyd.records.journal import Operation
from steadyd.web import frame, shown
from steadyd.web.answers import json_answer
from steadyd.web.body import Allowance
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.operations import cancel, current
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.schema import Death, Strict

SHOWN = 50
"""Entries of one page."""
FOLDED = 3
"""Wakes and sleeps in a row, from which on they are one line among others."""
WISHES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "": ("Everything", SORTS),
    "operations": ("Operations", ("operation",)),
    "deaths": ("Ended badly", ("death",)),
    "wakes": ("Wakes and sleeps", ("wake",)),
    "events": ("Other events", ("event",)),
}
"""What one may ask for, what it is called, and of which sorts it is."""
TITLES: Mapping[str, str] = {
    "create": "First deploy", "deploy": "Deploy", "rollback": "Rollback", "environment": "Change of the environment",
    "settings": "Change of the settings", "crons": "Change of the crons", "sql": "Write by SQL", "restore": "Restore",
    "fork": "Fork", "archive": "Archive", "rename": "New name", "claim": "Claim", "undelete": "Bring back",
    "retreat": "Automatic rollback", "upgrade": "New Bun",
}  # fmt: skip
OUTCOMES: Mapping[str, str] = {"": "running", "undone": "undone by a restart"}


class DeathsAnswer(Strict):
    """The newest hundred, newest first."""

    deaths: list[Death]


async def list_deaths(call: Call) -> Response:
    found = await call.rooms.library.deaths.of(call.app.id)
    return json_answer(DeathsAnswer(deaths=[shown.death(card) for _, card in found]))


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    here = "/apps/{name}/activity"
    return [
        page_route(here, show, rooms),
        page_route(f"{here}/{{sort}}/{{id}}", show_one, rooms),
        form_route(f"{here}/operation/{{id}}/cancel", cancel_one, rooms, allowance),
    ]


async def show(visit: Visit) -> Response:
    app, said, error = await visit.app(), visit.request.query_params, None
    wish = said.get("show", "")
    try:
        if wish not in WISHES:
            raise SteadyError("invalid", f"There is no such list. It is one of {', '.join(filter(None, WISHES))}.")
        cursor = parse_cursor(said.get("before", ""))
    except SteadyError as refused:
        wish, cursor, error = "", Cursor(), refused
    page = await visit.rooms.library.history.page(app.id, SHOWN, cursor, WISHES[wish][1])
    return await _show(visit, app, page, error, wish=wish, before=said.get("before", ""))


async def show_one(visit: Visit) -> Response:
    """One operation or death, at an address of its own."""
    return await _one(visit, await visit.app(), str(visit.request.path_params["sort"]))


async def cancel_one(visit: Visit) -> Response:
    app, number = await visit.app(), _number(visit)
    found = await visit.rooms.journal.operation(number) if number else None
    try:
        if found is None or found.app_id != app.id:
            raise _absent(visit)
        await cancel(visit.rooms, found)
    except SteadyError as error:
        if error.code == "not_found":
            raise
        return await _one(visit, app, "operation", error)
    return visit.go(f"/apps/{app.name}/activity/operation/{number}")


def folded(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Wakes and sleeps that follow one another, from FOLDED on, as one; everything else alone."""
    found: list[list[Entry]] = []
    for sort, run in groupby(entries, lambda entry: entry.sort):
        together = list(run)
        found += [together] if sort == "wake" and len(together) >= FOLDED else [[entry] for entry in together]
    return found


def title(operation: Operation, version: int) -> str:
    """What was done, in a few words."""
    words = TITLES.get(operation.kind, operation.kind.replace("_", " ").capitalize())
    return f"{words} of version {version}" if operation.kind == "deploy" and version else words


ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/apps/{name}/deaths", handler=list_deaths, access=Access.OWNER_OF_DELETED,
        summary="How its instances ended badly, newest first.", answers=json_of(DeathsAnswer),
        errors=("unauthorized", "not_found"),
    ),
)  # fmt: skip


# Private


async def _one(visit: Visit, app: App, sort: str, error: SteadyError | None = None) -> Response:
    number = _number(visit)
    found = await visit.rooms.library.history.one(app.id, sort, number) if sort in ("operation", "death") else None
    if found is None:
        raise _absent(visit)
    return await _show(visit, app, Page([found], None), error, wish=None, before="")


async def _show(
    visit: Visit, app: App, page: Page, error: SteadyError | None, wish: str | None, before: str
) -> Response:
    entries = [_current(visit.rooms, entry) for entry in page.entries]
    groups = folded(entries) if wish == "" else [[entry] for entry in entries]
    return await frame.show(
        visit, app, "activity", "activity.html", error, page=page, wish=wish, before=before, wishes=WISHES,
        title=title, outcomes=OUTCOMES, groups=groups,
    )  # fmt: skip


def _current(rooms: Rooms, entry: Entry) -> Entry:
    return replace(entry, what=current(rooms, entry.what)) if isinstance(entry.what, Operation) else entry


def _number(visit: Visit) -> int:
    said = str(visit.request.path_params["id"])
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0


def _absent(visit: Visit) -> SteadyError:
    return SteadyError("not_found", "That is not in this app's history, or is not kept any more.")
