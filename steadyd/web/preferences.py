"""The settings page of an app, and its forms: variables, settings, notices, a token, another name, its end.

What is refused comes back on this page with everything that was typed. A value of a variable is never shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from steadyd.envfile import parse
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.versions import LOCK
from steadyd.variables import CONTEXTS, PRODUCTION, Change, Value, change_in
from steadyd.web import auth, frame
from steadyd.web.body import Allowance
from steadyd.web.env import apply, read
from steadyd.web.fields import ASPECTS, fields, wishes
from steadyd.web.launch import redeploy_line
from steadyd.web.notify import send_test
from steadyd.web.page import Visit, form_route, page_route
from steadyd.web.rooms import Rooms
from steadyd.web.settings import choose

PLACE = "settings"
MARK_FIELD = "mark:"
SECRET = "secret"
DONE = {
    "set": "The settings are in effect.",
    "unchanged": "Nothing was changed.",
    "env": "The variables are in effect.",
    "notified": "The test notice was taken. Look whether it has arrived.",
    "renamed": "It has its new name. The old address leads here.",
    "claimed": "It is yours, and it stays: it is no longer temporary.",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What came with a form, so that it is on the page again; and the token that it made."""

    settings: dict[str, str] = field(default_factory=dict)
    env: str = field(default="", repr=False)
    context: str = PRODUCTION
    name: str = ""
    token: str = field(default="", repr=False)


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    app = "/apps/{name}"
    forms = {
        "settings": change_settings, "env": change_env, "notify/test": test_notice, "token": make_token,
        "rename": rename, "delete": delete, "purge": purge,
    }  # fmt: skip
    return [
        page_route(f"{app}/{PLACE}", show_settings, rooms),
        *(form_route(f"{app}/{verb}", handler, rooms, allowance) for verb, handler in forms.items()),
    ]


async def show_settings(visit: Visit) -> Response:
    return await _show(visit, await visit.app(), said=DONE.get(visit.request.query_params.get("done", ""), ""))


async def change_settings(visit: Visit) -> Response:
    """An empty field takes the owner's choice back; what is not in the form stays."""
    app = await visit.app()
    typed = {name: visit.form[name].strip() for name in ASPECTS if name in visit.form}
    try:
        wished = wishes(app, typed)
        await choose(visit.rooms, visit.principal, app, wished)
    except SteadyError as error:
        return await _show(visit, app, Sent(settings=typed), error)
    return _back(visit, app, "set" if wished else "unchanged")


async def change_env(visit: Visit) -> Response:
    """Lines of NAME=VALUE as in a .env file, set for one context; or one name, removed from all, or marked."""
    app, form, rooms = await visit.app(), visit.form, visit.rooms
    typed = form.get("env", "")
    context = next((known for known in CONTEXTS if known == form.get("context")), PRODUCTION)
    try:
        if gone := form.get("remove", ""):
            names, change = [gone], Change({(each, gone): None for each in CONTEXTS})
        elif name := form.get("secret") or form.get("plain"):
            names, change = [], await _marked(rooms, app, name, "secret" in form)
        else:
            values = read(parse(typed), rooms.env_value_bytes)
            names = list(values)
            marked = {name: _as_marked(value, form.get(MARK_FIELD + name)) for name, value in values.items()}
            change = change_in(context, marked)
        await apply(rooms, visit.principal, app, change)
        await rooms.library.blanks.drop(app.id, names)
    except SteadyError as error:
        return await _show(visit, app, Sent(env=typed, context=context), error)
    return _back(visit, app, "env", "env")


async def test_notice(visit: Visit) -> Response:
    """Whether notices about the app arrive."""
    app = await visit.app()
    try:
        await send_test(visit.rooms, visit.principal, app, auth.client_address(visit.request))
    except SteadyError as error:
        return await _show(visit, app, error=error)
    return _back(visit, app, "notified", "notices")


async def make_token(visit: Visit) -> Response:
    """A token for a terminal, for this app only, shown once."""
    app, rooms = await visit.app(), visit.rooms
    token = await rooms.people.add_token(visit.principal, f"curl for {app.name}", rooms.now(), app.id)
    return await _show(visit, app, Sent(token=token))


async def rename(visit: Visit) -> Response:
    app, name = await visit.app(), visit.form.get("new_name", "").strip()
    try:
        app = await visit.rooms.identity.rename(visit.principal, app, name)
    except SteadyError as error:
        return await _show(visit, app, Sent(name=name), error)
    return _back(visit, app, "renamed", "name")


async def delete(visit: Visit) -> Response:
    app = await visit.app()
    if app.deleted_at is None:
        await visit.rooms.removal.delete(visit.principal, app)
    return visit.go(f"/apps?deleted={quote(app.name)}")


async def purge(visit: Visit) -> Response:
    """There is no way back from this: the name has to be typed."""
    app = await visit.app()
    if visit.form.get("confirm", "").strip() != app.name:
        said = f"Type “{app.name}” to say that all of it may go. Nothing was removed."
        return await _show(visit, app, error=SteadyError("invalid", said, {"field": "confirm"}))
    await visit.rooms.removal.purge(visit.principal, app)
    return visit.go("/apps?purged=1")


# Private


async def _show(
    visit: Visit, app: App, sent: Sent | None = None, error: SteadyError | None = None, said: str = ""
) -> Response:
    rooms, sent = visit.rooms, sent or Sent()
    variables = await rooms.library.environment.shown(app.id)
    blanks = await rooms.library.blanks.of(app.id)
    return await frame.show(
        visit, app, PLACE, "settings.html", error, sent=sent, said=said,
        fields=fields(app, rooms.apps.policy, sent.settings, error), contexts=CONTEXTS, variables=variables,
        blanks={name: blank for name, blank in blanks.items() if name not in variables},
        targets=[str(target) for target in await rooms.targets.of(app.id)],
        redeploy=await _redeploy(rooms, app, sent.token or "TOKEN"), terms=rooms.apps.terms,
    )  # fmt: skip


def _back(visit: Visit, app: App, done: str, anchor: str = "") -> Response:
    return visit.go(f"/apps/{app.name}/{PLACE}?done={done}{'#' + anchor if anchor else ''}")


def _as_marked(value: Value | None, mark: str | None) -> Value | None:
    """Whether it is secret as the form says, else as the name does."""
    return value if value is None or mark is None else Value(value.text, mark == SECRET)


async def _marked(rooms: Rooms, app: App, name: str, secret: bool) -> Change:
    """The same values of a variable with another mark.

    Raises:
        SteadyError: `secrets_locked`.
    """
    now = await rooms.library.environment.back_to(app.id, None)
    own = {place: value for place, value in now.values.items() if place[1] == name and value is not None}
    return Change({place: Value(value.text, secret) for place, value in own.items()})


async def _redeploy(rooms: Rooms, app: App, token: str) -> str:
    """The curl line that deploys all files again; a lock that one does not have here is no file of one's own."""
    version = await rooms.versions.one(app.id, app.version)
    paths = [file.path for file in version.files if file.path != LOCK] if version else []
    return redeploy_line(f"{rooms.urls.control}/api/apps/{app.name}", token, paths)
