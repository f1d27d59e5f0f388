"""A page of everything that pages are made of, with sample data, to be looked at: in both themes, on a phone, and with
texts that somebody hostile would write."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from steadyd.backup.truth import State
from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.web.page import Visit, page_route
from steadyd.web.rooms import Rooms

COLOURS = tuple("ground surface sunken ink quiet line accent wash bad bad-wash warn warn-wash info info-wash".split())
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m" + "wide" * 40
SOURCE = [(6, "export default {"), (7, "  fetch(request: Request {"), (8, f"    // {HOSTILE}")]


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/components", show, rooms)]


async def show(visit: Visit) -> Response:
    return visit.html(
        "components.html", colours=COLOURS, states=list(AppState), backups=list(State), hostile=HOSTILE,
        failed=failed(), excerpt=SOURCE, error=None,
    )  # fmt: skip


def failed() -> SteadyError:
    """A deploy that did not work, with all that can be told of one."""
    details = {"step": "check", "file": "index.ts", "line": 7, "column": 25, "logs": ["error: Unexpected {", HOSTILE]}
    return SteadyError("deploy_failed", f"index.ts:7:25: expected “)”, found “{{”. {HOSTILE}", details)
