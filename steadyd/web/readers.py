"""Who may read an app's source on a page, and what is around it for them: its owner's frame, or a visitor's."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.web import frame, shown
from steadyd.web.endpoint import renamed
from steadyd.web.frame import SENTENCES
from steadyd.web.page import Visit, absent

PLACE = "versions"


async def readable(visit: Visit) -> App:
    """The app in the path, if this person may read its source: what they may not is not there.

    Raises:
        SteadyError: `not_found`.
    """
    name = visit.request.path_params["name"]
    app = await visit.rooms.apps.by_name(await renamed(visit.rooms, name, visit.caller) or name)
    if app is None or app.version == 0 or not (app.is_open_source or visit.caller.owns(app)):
        raise absent(name)
    return app


async def show(visit: Visit, app: App, template: str, error: SteadyError | None = None, **values: Any) -> Response:
    """A page about an app's source, made from a template that extends `base`."""
    if visit.caller.owns(app):
        return await frame.show(visit, app, PLACE, template, error, base="frame.html", mine=True, **values)
    state = shown.state(visit.rooms, app)
    return visit.html(
        template, error.status if error else 200, app=app, error=error, base="visitor.html", mine=False, state=state,
        url=visit.rooms.urls.app(app.name), sentence=SENTENCES[state], next=f"/apps/{app.name}", **values,
    )  # fmt: skip
