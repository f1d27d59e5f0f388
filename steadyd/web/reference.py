"""What one looks up: the page of all error codes, and llms.txt, this host in a page of text."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import STATUS
from steadyd.web.meanings import MEANINGS
from steadyd.web.page import Visit, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.templates import render

TEXT = "text/plain; charset=utf-8"


def routes(rooms: Rooms) -> list[Route]:
    return [page_route("/errors", errors, rooms), page_route("/llms.txt", llms, rooms)]


async def errors(visit: Visit) -> Response:
    return visit.html("errors.html", codes=sorted(STATUS.items()), meanings=MEANINGS)


async def llms(visit: Visit) -> Response:
    """True for this host's own options. The form is that of https://llmstxt.org."""
    rooms = visit.rooms
    text = render("llms.txt", visit.request, rooms=rooms, policy=rooms.apps.policy)
    return Response(text, 200, {"cache-control": "no-cache"}, TEXT)
