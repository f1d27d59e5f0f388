"""The pages where people come in for the first time, or again without their password: sign up, and reset."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.web import auth
from steadyd.web.body import Allowance
from steadyd.web.entry import CLOSED, Newcomer, guest_of, reset, sign_up
from steadyd.web.page import Visit, form_route, local_path, page_route
from steadyd.web.rooms import Rooms

FIELDS = {"invalid_name": "username", "name_taken": "username"}
REFUSALS = {
    "closed": CLOSED,
    "invite": "This server takes new users by invitation only. An invitation is a link: ask its operator for one.",
}


def routes(rooms: Rooms, allowance: Allowance) -> list[Route]:
    found = []
    for path, page, form in (
        ("/signup", signup, make_user), ("/signup/{secret}", signup, make_user),
        ("/reset/{secret}", reset_page, set_password),
    ):  # fmt: skip
        found += [page_route(path, page, rooms), form_route(path, form, rooms, allowance)]
    return found


async def signup(visit: Visit) -> Response:
    return await _signup(visit)


async def make_user(visit: Visit) -> Response:
    form = visit.form
    new = Newcomer(
        form.get("username", "").strip(), form.get("password", ""), form.get("email", "").strip(), _secret(visit)
    )
    try:
        made = await sign_up(visit.rooms, visit.caller, auth.client_address(visit.request), new)
    except SteadyError as error:
        return await _signup(visit, error)
    response = visit.go(_after(visit))
    await auth.begin_session(visit.rooms, visit.request, response, made)
    return response


async def reset_page(visit: Visit) -> Response:
    return visit.html("reset.html", secret=_secret(visit), error=None, at="")


async def set_password(visit: Visit) -> Response:
    secret, password = _secret(visit), visit.form.get("password", "")
    try:
        await reset(visit.rooms, auth.client_address(visit.request), secret, password)
    except SteadyError as error:
        return visit.html("reset.html", error.status, secret=secret, error=error, at=field_of(error))
    return visit.html("login.html", next="/apps", error=None, reason="Your new password is set. Log in with it.")


def field_of(error: SteadyError) -> str:
    """Which field of a form it is about; "" for all of it."""
    return FIELDS.get(error.code) or str(error.details.get("field", ""))


# Private


def _secret(visit: Visit) -> str:
    return str(visit.request.path_params.get("secret", ""))


def _after(visit: Visit) -> str:
    return local_path(visit.form.get("next", "") or visit.request.query_params.get("next", ""))


async def _signup(visit: Visit, error: SteadyError | None = None) -> Response:
    secret, rule, guest = _secret(visit), visit.rooms.signup, guest_of(visit.caller)
    refusal = REFUSALS.get(rule, "") if rule == "closed" or not secret else ""
    status = error.status if error else 403 if refusal else 200
    apps = await visit.rooms.apps.of_owner(guest.id) if guest is not None else []
    return visit.html(
        "signup.html", status, action=f"/signup/{secret}" if secret else "/signup", refusal=refusal, error=error,
        at=field_of(error) if error else "", typed=visit.form, next=_after(visit), guest=guest,
        kept=[app.name for app in apps],
    )  # fmt: skip
