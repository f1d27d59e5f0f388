"""The pages' forms: deploy, start, stop, restart, bring back, log in and out.

Each answers with a redirect to a page (so that reloading sends nothing twice), or with the same page and the reason,
and everything the person typed.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.model import App, Deploy, Principal
from steadyd.web import appview, auth
from steadyd.web.appview import Edit
from steadyd.web.body import Allowance
from steadyd.web.entry import log_in
from steadyd.web.launch import deploy
from steadyd.web.page import Visit, form_route, local_path
from steadyd.web.rooms import Rooms
from steadyd.web.upload import Upload

FILE_FIELD = "file:"
DELETE_FIELD = "delete:"


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    app = "/apps/{name}"
    forms = {
        f"{app}/deploy": change, f"{app}/start": start, f"{app}/stop": stop, f"{app}/restart": restart,
        f"{app}/undelete": undelete,
        "/login": login, "/login/{secret}": login_link, "/logout": logout,
    }  # fmt: skip
    return [form_route(path, handler, rooms, allowance) for path, handler in forms.items()]


async def change(visit: Visit) -> Response:
    """The editor's form: deploy what differs from the live version."""
    app = await visit.app()
    form = visit.form
    texts = {name.removeprefix(FILE_FIELD): text for name, text in form.items() if name.startswith(FILE_FIELD)}
    edit = Edit(texts, form.get("new_path", "").strip(), form.get("new_text", ""), form.get("selected", ""))
    try:
        changes = await _changes(visit, app, edit)
        if not changes:
            return visit.go(f"/apps/{app.name}?done=unchanged")
        base = form.get("base_version", "")
        upload = Upload(changes, "merge", merge=True, base_version=int(base) if base.isdecimal() else None)
        assert visit.caller.principal is not None
        launched = await deploy(visit.rooms, visit.caller.principal, app, upload)
    except SteadyError as error:
        failed = Edit(edit.files, edit.new_path, edit.new_text, edit.selected, error)
        return await appview.show(visit, app, failed)
    selected = edit.new_path or edit.selected
    return visit.go(_after(launched.deployed.app, launched.deployed.deploy, selected))


async def start(visit: Visit) -> Response:
    app = await visit.app()
    try:
        await visit.rooms.controller.start(visit.principal, app)
    except SteadyError as error:
        return await appview.show(visit, app, Edit(error=error))
    return visit.go(f"/apps/{app.name}?done=started")


async def stop(visit: Visit) -> Response:
    app = await visit.app()
    hold = visit.form.get("hold") == "1"
    await visit.rooms.controller.stop(visit.principal, app, hold)
    return visit.go(f"/apps/{app.name}?done={'held' if hold else 'stopped'}")


async def restart(visit: Visit) -> Response:
    app = await visit.app()
    try:
        await visit.rooms.controller.restart(visit.principal, app)
    except SteadyError as error:
        return await appview.show(visit, app, Edit(error=error))
    return visit.go(f"/apps/{app.name}?done=restarted")


async def undelete(visit: Visit) -> Response:
    app = await visit.app()
    if app.deleted_at is not None:
        await visit.rooms.removal.undelete(visit.principal, app)
    return visit.go(f"/apps/{app.name}?done=undeleted")


async def login(visit: Visit) -> Response:
    """Log in by user name and password, or with a token, as a guest who deployed by curl has one."""
    after, form = local_path(visit.form.get("next", "")), visit.form
    address = auth.client_address(visit.request)
    try:
        if form.get("token"):
            principal = await _of_token(visit, address)
        else:
            name, password = form.get("username", "").strip(), form.get("password", "")
            principal = await log_in(visit.rooms, visit.caller, address, name, password)
    except SteadyError as error:
        at = "" if error.code not in ("unauthorized", "forbidden") else "token" if form.get("token") else "password"
        typed = form.get("username", "")
        return visit.html("login.html", error.status, next=after, error=error, reason="", at=at, typed=typed)
    response = visit.go(after)
    await auth.begin_session(visit.rooms, visit.request, response, principal)
    return response


async def login_link(visit: Visit) -> Response:
    """The button of a one-time link."""
    rooms = visit.rooms
    try:
        rooms.logins.take(auth.client_address(visit.request), rooms.now())
        principal = await rooms.people.take_login_link(visit.request.path_params["secret"], rooms.now())
        if principal is None:
            raise SteadyError("unauthorized", "This link was used already, or is too old.")
    except SteadyError as error:
        return visit.html("login.html", error.status, next="/apps", error=error, reason="")
    response = visit.go("/apps")
    await auth.begin_session(rooms, visit.request, response, principal)
    return response


async def logout(visit: Visit) -> Response:
    response = visit.go("/")
    if visit.caller.via == "session":
        await visit.rooms.people.end_session(visit.caller.secret)
    auth.end_session(visit.request, response, visit.rooms.urls)
    return response


# Private


async def _of_token(visit: Visit, address: str) -> Principal:
    """Whose token was typed. A browser that is logged in may everything, so the token has to be for everything."""
    rooms = visit.rooms
    rooms.logins.take(address, rooms.now())
    grant = await rooms.library.tokens.find(visit.form.get("token", "").strip(), rooms.now())
    if grant is None:
        raise SteadyError("unauthorized", "This token is not valid here.")
    if grant.is_limited:
        raise SteadyError("forbidden", "This token is not for everything, so it logs nobody in. Use it with /api.")
    return grant.principal


def _after(app: App, done: Deploy, selected: str = "") -> str:
    file = f"&file={quote(selected, safe='')}" if selected else ""
    return f"/apps/{app.name}?deployed={done.id}{file}"


async def _changes(visit: Visit, app: App, edit: Edit) -> dict[str, bytes | None]:
    """What differs from the version that the editor was loaded from (a textarea knows LF only)."""
    base = visit.form.get("base_version", "")
    number = int(base) if base.isdecimal() and len(base) < 10 else app.version
    version = await visit.rooms.versions.one(app.id, number)
    live = {file.path: file for file in version.files} if version else {}
    changes: dict[str, bytes | None] = {}
    for path, text in edit.files.items():
        before = await visit.rooms.deployer.content(live[path]) if path in live else b""
        if path not in live or before.decode("utf-8", "replace").replace("\r\n", "\n") != text:
            changes[path] = text.encode("utf-8", "replace")
    if edit.new_path:
        changes[edit.new_path] = edit.new_text.encode("utf-8", "replace")
    for name in visit.form:
        if name.startswith(DELETE_FIELD) and name.removeprefix(DELETE_FIELD) in live:
            changes[name.removeprefix(DELETE_FIELD)] = None
    return changes
