"""What all pages of one app have around them: its head, what may be done at once, and the way to its other pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from steadyd import model
from steadyd.backup.truth import Truth
from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.runner.fleet import Usage
from steadyd.web import core, shown
from steadyd.web.page import Visit

PLACES: Mapping[str, str] = {
    "": "Code",
    "logs": "Logs",
    "requests": "Requests",
    "metrics": "Metrics",
    "timeline": "Timeline",
    "activity": "Activity",
    "versions": "Versions",
    "databases": "Databases",
    "backups": "Backups",
    "crons": "Crons",
    "settings": "Settings",
}
"""An app's pages, below its address, and what they are called."""
OF_DELETED = frozenset({"", "activity", "versions", "settings"})
"""Those that a deleted app still has."""

SENTENCES: Mapping[AppState, str] = {
    AppState.RUNNING: "Answers requests.",
    AppState.STOPPED: "Asleep, costs nothing. The next request wakes it.",
    AppState.STARTING: "Starting. Requests wait and are answered.",
    AppState.STOPPING: "Going to sleep.",
    AppState.BACKOFF: "It died and is started again in a moment.",
    AppState.FAILED: "It does not start. Requests get an error until the next deploy or start.",
    AppState.HELD: "Held down by its owner. Requests get an error until it is started.",
    AppState.FROZEN: "Frozen while idle. The next request thaws it.",
    AppState.SUSPENDED: "Suspended by the operator.",
    AppState.DELETED: "Deleted. It can be brought back with its data.",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """`place` is which of PLACES one is at."""

    state: AppState
    sentence: str
    url: str
    usage: Usage
    backup: Truth
    place: str
    places: Mapping[str, str]
    is_core: bool


async def show(
    visit: Visit, app: model.App, place: str, template: str, error: SteadyError | None = None, **values: Any
) -> Response:
    """A page of an app, made from a template that extends frame.html. With an error, its status is the error's."""
    rooms, state = visit.rooms, shown.state(visit.rooms, app)
    frame = Frame(
        state,
        f"Suspended by the operator: {app.suspended}" if app.suspended else SENTENCES[state],
        rooms.url_of(app),
        rooms.fleet.usage(app.id),
        await rooms.backups.reports.truth(app),
        place,
        _places(app, app is rooms.core),
        app is rooms.core,
    )
    return visit.html(template, error.status if error else 200, app=app, frame=frame, error=error, **values)


# Private


def _places(app: model.App, is_core: bool) -> dict[str, str]:
    has = core.PLACES if is_core else PLACES.keys() if app.deleted_at is None else OF_DELETED
    return {path: title for path, title in PLACES.items() if path in has}
