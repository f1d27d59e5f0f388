"""API calls that make a version live: deploy and rollback, and what came of each."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from starlette.responses import Response

from steadyd.backup.when import read_when
from steadyd.model import App
from steadyd.runner.deploy import Preparing
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.launch import Launched, deploy, next_steps
from steadyd.web.remix import remixed
from steadyd.web.rooms import Rooms
from steadyd.web.upload import Upload

TOKEN_PLACEHOLDER = "TOKEN"


async def make_deploy(call: Call) -> Response:
    return await deploy_to(call, call.app, await call.upload())


async def deploy_to(call: Call, app: App, upload: Upload) -> Response:
    """Make what was sent the next version of `app`."""
    launched = await remixed(call, upload, partial(deploy, call.rooms, call.principal, app, upload), app)
    return await _deployed(call, launched)


async def list_deploys(call: Call) -> Response:
    deploys = await call.rooms.journal.deploys(call.app.id)
    return json_answer(schema.DeploysAnswer(deploys=[shown.deploy(deploy) for deploy in deploys]))


async def roll_back(call: Call) -> Response:
    body = await call.body(schema.RollbackBody)
    deployed = await call.rooms.deployer.rollback(
        call.principal, call.app, body.version, body.env, data_for(call.rooms, body.data, body.version)
    )
    return await _deployed(call, Launched(deployed, Upload({}, "archive")))


def data_for(rooms: Rooms, data: str, version: int) -> Preparing | None:
    """Which data a version finds that one goes back to: the app's as it is (`keep`), as when the version was live last
    (`version`), or of a moment.

    Raises:
        SteadyError: `invalid` for what is no moment.
    """
    if data == "keep":
        return None
    backups = rooms.backups
    if data == "version":
        return backups.restores.preparing(lambda app: backups.aims.last_of(app, version))
    when = read_when(data, datetime.fromtimestamp(rooms.now(), UTC))
    return backups.restores.preparing(lambda app: backups.aims.at(app, when))


APP = "/api/apps/{name}"
OWNERS = ("unauthorized", "not_found", "conflict")
ENDPOINTS = (
    Endpoint(
        method="POST", path=f"{APP}/deploys", handler=make_deploy, access=Access.OWNER, status=201,
        summary="Make a new version live: all files, or with `merge` the named ones. A failed one changes nothing.",
        upload=schema.DeployBody, query=schema.UploadQuery, answers=json_of(schema.Redeployed),
        errors=(
            *OWNERS, "cross_site", "bad_request", "invalid", "invalid_name", "invalid_path", "invalid_archive",
            "no_entry", "too_large", "unsupported_media_type", "deploy_failed", "secrets_locked", "version_conflict",
            "overloaded", "disk_full",
        ),
    ),
    Endpoint(
        method="GET", path=f"{APP}/deploys", handler=list_deploys, access=Access.OWNER,
        summary="Attempts to make a version live, newest first.", answers=json_of(schema.DeploysAnswer), errors=OWNERS,
    ),
    Endpoint(
        method="POST", path=f"{APP}/rollback", handler=roll_back, access=Access.OWNER, status=201,
        summary="Make another version live again, as a deploy of its own; with `data` and `env` all of it goes back.",
        body=schema.RollbackBody,
        answers=json_of(schema.Redeployed),
        errors=(
            *OWNERS, "cross_site", "bad_request", "invalid", "too_large", "unsupported_media_type", "deploy_failed",
            "secrets_locked", "not_reachable", "backup_broken", "replica_away", "replica_refused", "disk_full",
        ),
    ),
)  # fmt: skip


# Private


async def _deployed(call: Call, launched: Launched) -> Response:
    """201 for a version that went live."""
    token = call.caller.secret if call.caller.via == "token" else TOKEN_PLACEHOLDER
    answer = schema.Redeployed(
        app=await shown.app(call.rooms, launched.deployed.app),
        deploy=shown.deploy(launched.deployed.deploy),
        next=next_steps(call.rooms, launched, token),
        notes=launched.notes,
        left_out=launched.left_out,
    )
    return json_answer(answer, 201)
