"""The API call that makes another app from one's own: code, settings, variables and data of one moment."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from steadyd.backup.data import Former
from steadyd.backup.restore import shipped
from steadyd.backup.when import read_when
from steadyd.errors import SteadyError
from steadyd.runner.forks import Past
from steadyd.web import auth, schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.launch import check_creation


class ForkBody(schema.Strict):
    """What the new app is called. `at` is a moment (`2h ago`, an ISO time in UTC, a restore point); without it, now."""

    name: str
    at: str = ""


class Forked(schema.Strict):
    """The new app, asleep until somebody asks for it. `at` is the moment that its data is of; `notes` say what is left
    to do, such as turning its crons on."""

    app: schema.App
    at: datetime
    notes: list[str]


async def past_of(call: Call, at: str) -> Past | None:
    """The app as it was at the moment `at`; None for now."""
    if not at or at.strip().lower() == "now":
        return None
    backups = call.rooms.backups
    when = read_when(at, datetime.fromtimestamp(call.rooms.now(), UTC))
    aim = await backups.aims.at(call.app, when)
    await shipped(aim, call.app.id, backups.replica.replication)
    return Former(backups.data, aim)


async def fork_app(call: Call) -> Response:
    body, rooms = await call.body(ForkBody), call.rooms
    if call.caller.app_id:
        raise SteadyError("forbidden", "This token is for one app only, and may make no other.")
    if not call.principal.is_operator:
        await check_creation(rooms, auth.client_address(call.request))
    forked = await rooms.forks.fork(call.principal, call.app, body.name, await past_of(call, body.at))
    answer = Forked(app=await shown.app(rooms, forked.app), at=shown.moment(forked.at), notes=list(forked.notes))
    return json_answer(answer, 201, {"location": f"/api/apps/{forked.app.name}"})


ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps/{name}/fork", handler=fork_app, access=Access.OWNER, status=201, body=ForkBody,
        summary="Another app with the code, settings, variables and data that this one has, or had at a moment. It has "
        "a URL, limits and data of its own from then on, and its crons are off. Values of variables go to the same "
        "owner only.",
        answers=json_of(Forked),
        errors=tuple(
            "bad_request unauthorized forbidden not_found cross_site conflict invalid invalid_name name_taken "
            "app_limit rate_limited disk_full too_large secrets_locked deploy_failed not_reachable backup_broken "
            "replica_away replica_refused".split()
        ),
    ),
)  # fmt: skip
