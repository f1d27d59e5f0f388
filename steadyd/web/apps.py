"""API calls about whole apps: create, put, list, show, delete, bring back, start, stop, restart."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.web import auth, background, schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.deploys import deploy_to
from steadyd.web.endpoint import Access, Call, Endpoint, absent, json_of, renamed
from steadyd.web.launch import Launched, create, next_steps
from steadyd.web.remix import remixed
from steadyd.web.upload import Upload


async def create_app(call: Call) -> Response:
    return await _create(call, await call.upload())


async def put_app(call: Call) -> Response:
    name = call.request.path_params["name"]
    upload = await call.upload()
    if upload.name not in (None, name):
        raise SteadyError("invalid", f"The body names “{upload.name}”, the address “{name}”.", {"field": "name"})
    upload.name = name
    app = await call.rooms.apps.by_name(name)
    if app is None and (renamed_to := await renamed(call.rooms, name, call.caller)):
        # What still deploys to the old name must not become a second app, and end the redirect.
        said = f"“{name}” was renamed to “{renamed_to}”: deploy to /api/apps/{renamed_to}."
        raise SteadyError("name_taken", said, {"name": name, "yours": True, "renamed_to": renamed_to})
    if app is None or app.deleted_at is not None or not call.caller.owns(app) or call.caller.principal is None:
        return await _create(call, upload)
    return await deploy_to(call, app, upload)


async def list_apps(call: Call) -> Response:
    query, principal = call.query(schema.ListQuery), call.caller.principal
    if query.public:
        return await _public_page(call, query.after)
    if query.all:
        if principal is None or not principal.is_operator:
            raise SteadyError(
                "forbidden", "Everybody's apps are the operator's to list; without “all=1” you get yours."
            )
        apps = await call.rooms.apps.everything(query.deleted)
    else:
        apps = await call.rooms.apps.of_owner(principal.id, query.deleted) if principal else []
    mine = [app for app in apps if call.caller.owns(app)]
    return json_answer(schema.AppsAnswer(apps=[await shown.app(call.rooms, app) for app in mine]))


async def show_app(call: Call) -> Response:
    name = call.request.path_params["name"]
    app = call.found or await call.rooms.apps.by_name(name)
    if app is not None and call.caller.owns(app):
        return json_answer(schema.AppAnswer(app=await shown.app(call.rooms, app)))
    if app is None or app.deleted_at is not None or app.version == 0:
        raise await absent(call.rooms, name, call.caller)
    return json_answer(schema.SeenAppAnswer(app=shown.seen_app(call.rooms, app)))


async def delete_app(call: Call) -> Response:
    purge = call.query(schema.DeleteQuery).purge
    if call.app.deleted_at is None or purge:
        removal = call.rooms.removal
        await (removal.purge if purge else removal.delete)(call.principal, call.app)
    return Response(status_code=204, headers=NO_STORE)


async def undelete_app(call: Call) -> Response:
    await call.body(schema.Nothing)
    if call.app.deleted_at is not None:
        await call.rooms.removal.undelete(call.principal, call.app)
    return await _app_now(call)


async def start_app(call: Call) -> Response:
    await call.body(schema.Nothing)
    await call.rooms.controller.start(call.principal, call.app)
    return await _app_now(call)


async def stop_app(call: Call) -> Response:
    body = await call.body(schema.StopBody)
    await call.rooms.controller.stop(call.principal, call.app, body.hold)
    return await _app_now(call)


async def restart_app(call: Call) -> Response:
    await call.body(schema.Nothing)
    await call.rooms.controller.restart(call.principal, call.app)
    return await _app_now(call)


PUBLIC_LISTED_MAX = 100
"""Apps on one page."""
UPLOAD_ERRORS = (
    "bad_request invalid invalid_name invalid_path invalid_archive no_entry too_large unsupported_media_type "
    "deploy_failed secrets_locked name_taken app_limit rate_limited overloaded cross_site disk_full"
).split()
ONE = "/api/apps/{name}"
ENDPOINTS = (
    Endpoint(
        method="POST", path="/api/apps", handler=create_app, access=Access.ANYONE, status=201,
        summary="Create an app, start it, and answer when it serves. Without a token this makes a guest.",
        upload=schema.CreateBody, query=schema.CreateQuery, answers=json_of(schema.Created),
        errors=(*UPLOAD_ERRORS, "unauthorized", "not_found"),
    ),
    Endpoint(
        method="PUT", path=ONE, handler=put_app, access=Access.ANYONE, status=201,
        summary="Create the app, or deploy to it if it is yours. May be repeated for ever.",
        upload=schema.DeployBody, query=schema.UploadQuery, answers=json_of(schema.Created, schema.Redeployed),
        errors=(*UPLOAD_ERRORS, "unauthorized", "not_found", "version_conflict", "conflict"),
    ),
    Endpoint(
        method="GET", path="/api/apps", handler=list_apps, access=Access.ANYONE, query=schema.ListQuery,
        summary="Your apps, last changed first; with `deleted=1` those that can be brought back; with `public=1` "
        "everybody's public ones.",
        answers=json_of(schema.AppsAnswer, schema.PublicAppsAnswer), errors=("unauthorized", "forbidden"),
    ),
    Endpoint(
        method="GET", path=ONE, handler=show_app, access=Access.ANYONE,
        summary="One app: everything to its owner, name, URL and state to everybody else.",
        answers=json_of(schema.AppAnswer, schema.SeenAppAnswer), errors=("unauthorized", "not_found"),
    ),
    Endpoint(
        method="DELETE", path=ONE, handler=delete_app, access=Access.OWNER_OF_DELETED, status=204,
        summary="Delete an app. It stops at once and can be brought back until `kept_until`, unless `purge=1`.",
        query=schema.DeleteQuery, answers={}, errors=("unauthorized", "not_found", "cross_site", "conflict"),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/undelete", handler=undelete_app, access=Access.OWNER_OF_DELETED,
        summary="Bring a deleted app back.", body=schema.Nothing, answers=json_of(schema.AppAnswer),
        errors=("unauthorized", "not_found", "cross_site", "conflict"),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/start", handler=start_app, access=Access.OWNER,
        summary="Start the app now; this also ends a hold.", body=schema.Nothing, answers=json_of(schema.AppAnswer),
        errors=("unauthorized", "not_found", "cross_site", "conflict", "app_failed", "secrets_locked"),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/stop", handler=stop_app, access=Access.OWNER,
        summary="Put the app to sleep now; the next request wakes it, unless `hold` is true.",
        body=schema.StopBody, answers=json_of(schema.AppAnswer),
        errors=("unauthorized", "not_found", "cross_site", "conflict"),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/restart", handler=restart_app, access=Access.OWNER,
        summary="Restart the app without losing a request.", body=schema.Nothing,
        answers=json_of(schema.AppAnswer),
        errors=("unauthorized", "not_found", "cross_site", "conflict", "app_failed", "secrets_locked"),
    ),
)  # fmt: skip


# Private


async def _public_page(call: Call, after: str) -> Response:
    page = await call.rooms.apps.public(after, PUBLIC_LISTED_MAX)
    following = page[-1].name if len(page) == PUBLIC_LISTED_MAX else None
    return json_answer(schema.PublicAppsAnswer(apps=[shown.seen_app(call.rooms, app) for app in page], next=following))


async def _create(call: Call, upload: Upload) -> Response:
    address = auth.client_address(call.request)
    return await _created(call, await remixed(call, upload, partial(create, call.rooms, call.caller, address, upload)))


async def _created(call: Call, launched: Launched) -> Response:
    rooms, deployed = call.rooms, launched.deployed
    owner = launched.guest or call.caller.principal
    assert owner is not None
    # A browser's session cannot be typed into a shell, so its curl line gets a token of its own, for this app only.
    token = call.caller.secret if call.caller.via == "token" else background.guest_token()
    app_id = None if launched.guest else deployed.app.id
    token = token or await rooms.people.add_token(owner, f"curl for {deployed.app.name}", rooms.now(), app_id)
    answer = schema.Created(
        app=await shown.app(rooms, deployed.app),
        deploy=shown.deploy(deployed.deploy),
        next=next_steps(rooms, launched, token),
        notes=launched.notes,
        left_out=launched.left_out,
        token=token if launched.guest else UNSET,
    )
    response = json_answer(answer, 201, {"location": f"/api/apps/{deployed.app.name}"})
    if launched.guest:
        await auth.begin_session(rooms, call.request, response, launched.guest)
    return response


async def _app_now(call: Call) -> Response:
    """The app as it is after the call."""
    app = await call.rooms.apps.by_id(call.app.id) or call.app
    return json_answer(schema.AppAnswer(app=await shown.app(call.rooms, app)))
