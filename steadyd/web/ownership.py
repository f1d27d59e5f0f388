"""The API call by which somebody keeps an app: a guest's, or a temporary one of their own."""

from __future__ import annotations

from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import App, Kind, Principal, Scope
from steadyd.web import auth, schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, absent, json_of
from steadyd.web.rooms import Rooms


class ClaimBody(schema.Strict):
    """The token that lets its holder edit a guest's app; not needed for an app of one's own."""

    token: str = ""


async def claim_app(call: Call) -> Response:
    body, name = await call.body(ClaimBody), call.request.path_params["name"]
    app, by = await call.rooms.apps.by_name(name), call.principal
    if app is None or app.version == 0:
        raise await absent(call.rooms, name, call.caller)
    holders = await _holders(call, app, body.token)
    if app.deleted_at is not None and all(who.id != app.owner_id for who in (by, *holders)):
        raise await absent(call.rooms, name, call.caller)
    if call.caller.app_id not in ("", app.id):
        raise SteadyError("forbidden", "This token is for another app only.")
    check_claim(app, by, holders)
    if app.owner_id != by.id or app.temporary or app.deleted_at is not None:
        app = await call.rooms.identity.claim(by, app)
    return json_answer(schema.AppAnswer(app=await shown.app(call.rooms, app)))


def check_claim(app: App, by: Principal, holders: list[Principal]) -> None:
    """Whether `by` may keep `app`. `holders` are those whose token or session was shown beside.

    Raises:
        SteadyError: `forbidden`, with what to do.
    """
    if by.kind is Kind.GUEST:
        raise SteadyError("forbidden", "A guest's apps are temporary. Sign up, then claim the app with its token.")
    if app.owner_id == by.id:
        return
    if app.owner_kind is not Kind.GUEST:
        raise SteadyError("forbidden", f"“{app.name}” belongs to somebody with an account, who alone can give it away.")
    if all(holder.id != app.owner_id for holder in holders):
        said = f'Show the token that lets its holder edit “{app.name}”: {{"token": …}}. It was told to whoever made it.'
        raise SteadyError("forbidden", said, {"name": app.name})


async def holder_of(rooms: Rooms, app: App, token: str) -> Principal | None:
    """Who may edit the app by this token; None if it is for nobody, or not for that."""
    grant = await rooms.library.tokens.find(token, rooms.now()) if token else None
    edits = grant is not None and grant.scope.covers(Scope.DEPLOY) and grant.app_id in ("", app.id)
    return grant.principal if grant is not None and edits else None


ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps/{name}/claim", handler=claim_app, access=Access.KNOWN, body=ClaimBody,
        scope=Scope.ALL,
        summary="Keep a guest's app, by the token that edits it, or a temporary one of your own. Its URL stays.",
        answers=json_of(schema.AppAnswer),
        errors=tuple(
            "bad_request unauthorized forbidden not_found cross_site conflict invalid deploy_failed "
            "unsupported_media_type too_large".split()
        ),
    ),
)  # fmt: skip


# Private


async def _holders(call: Call, app: App, token: str) -> list[Principal]:
    """Who may edit the app by the token in the body, and whose session came beside a token: a guest's browser."""
    rooms = call.rooms
    found = [await holder_of(rooms, app, token)]
    if call.caller.via == "token":
        found.append((await auth.by_session(rooms, call.request)).principal)
    return [principal for principal in found if principal is not None]
