"""The pages: one app, log in."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from steadyd.web import appview, history, shown
from steadyd.web.appview import Edit
from steadyd.web.core import PLACES as CORE_PLACES
from steadyd.web.endpoint import renamed
from steadyd.web.frame import PLACES, SENTENCES
from steadyd.web.page import Visit, absent, local_path, page_route
from steadyd.web.rooms import Rooms


def routes(rooms: Rooms) -> list[Route]:
    pages = {
        "/apps/{name}": show_app, "/login": login, "/login/{secret}": login_link,
    }  # fmt: skip
    return [page_route(path, handler, rooms) for path, handler in pages.items()]


async def show_app(visit: Visit) -> Response:
    """The owner's desk; to anybody else what everybody may know, and the way in."""
    rooms, name = visit.rooms, visit.request.path_params["name"]
    if visit.core is not None:
        return visit.go(f"/apps/{name}/{next(place for place in PLACES if place in CORE_PLACES)}")
    app = await rooms.apps.by_name(name)
    if app is not None and visit.caller.owns(app):
        return await appview.show(visit, app, await _outcome(visit, app.id))
    if app is None and (renamed_to := await renamed(rooms, name, visit.caller)):
        return visit.go(f"/apps/{renamed_to}")
    if app is None or app.deleted_at is not None or app.version == 0:
        raise absent(name)
    if app.is_open_source and (live := await rooms.versions.one(app.id, app.version)):
        return await history.source(visit, app, live)
    state = shown.state(rooms, app)
    return visit.html(
        "seen.html", name=name, url=rooms.urls.app(name), state=state, sentence=SENTENCES[state], next=f"/apps/{name}"
    )


async def login(visit: Visit) -> Response:
    after = local_path(visit.request.query_params.get("next", ""))
    return visit.html("login.html", next=after, error=None, reason="")


async def login_link(visit: Visit) -> Response:
    """A page with a button: a program that only looks at links must not use up the one log-in."""
    return visit.html("login_link.html", secret=visit.request.path_params["secret"])


# Private

DONE = {
    "started": "It runs.",
    "stopped": "It sleeps. The next request wakes it.",
    "held": "It is held down until you start it.",
    "restarted": "It was restarted.",
    "undeleted": "It is back, asleep, with its data.",
    "unchanged": "Nothing was changed, so nothing was deployed.",
}


async def _outcome(visit: Visit, app_id: str) -> Edit:
    """What the redirect after a form says. Only sentences of ours, and facts from the records, can be said."""
    query = visit.request.query_params
    deploys = await visit.rooms.journal.deploys(app_id, 5) if "deployed" in query else []
    deploy = next((d for d in deploys if str(d.id) == query.get("deployed") and d.status == "live"), None)
    return Edit(selected=query.get("file", ""), deploy=deploy, said=DONE.get(query.get("done", ""), ""))
