"""API calls about an app's code: deploys, versions and their files, rollback."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.launch import Launched, deploy, next_steps
from steadyd.web.upload import Upload

FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
TOKEN_PLACEHOLDER = "TOKEN"


async def make_deploy(call: Call) -> Response:
    upload = await call.upload()
    assert call.caller.principal is not None
    return await deployed_answer(call, await deploy(call.rooms, call.caller.principal, call.app, upload))


async def list_deploys(call: Call) -> Response:
    deploys = await call.rooms.journal.deploys(call.app.id)
    return json_answer(schema.DeploysAnswer(deploys=[shown.deploy(deploy) for deploy in deploys]))


async def list_versions(call: Call) -> Response:
    versions = await call.rooms.versions.all(call.app.id)
    return json_answer(
        schema.VersionsAnswer(versions=[shown.version(version, call.app.version) for version in versions])
    )


async def show_version(call: Call) -> Response:
    version = await _version(call)
    return json_answer(
        schema.VersionAnswer(version=shown.version(version, call.app.version), files=shown.files(version))
    )


async def list_files(call: Call) -> Response:
    return json_answer(schema.FilesAnswer(files=shown.files(await _version(call))))


async def show_file(call: Call) -> Response:
    path = call.request.path_params["path"]
    version = await _version(call)
    file = next((file for file in version.files if file.path == path), None)
    if file is None:
        shown_path = path[:200].encode("utf-8", "replace").decode()
        raise SteadyError("not_found", f"Version {version.number} has no file “{shown_path}”.", {"path": shown_path})
    content = await call.rooms.deployer.content(file)
    # Somebody else's HTML on our own origin: never rendered, never run, always a download.
    headers = {
        "content-security-policy": FILE_POLICY,
        "content-disposition": f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2], safe='')}",
        "cache-control": "private, no-cache",
        "etag": f'"{file.sha256}"',
    }
    return Response(content, 200, headers, _media_type(content))


async def roll_back(call: Call) -> Response:
    body = await call.body(schema.RollbackBody)
    if body.data != "keep":
        raise SteadyError(
            "not_implemented", "Only “data”: “keep” is built yet: the code goes back, the databases stay.",
            {"field": "data"},
        )  # fmt: skip
    assert call.caller.principal is not None
    deployed = await call.rooms.deployer.rollback(call.caller.principal, call.app, body.version)
    return await deployed_answer(call, Launched(deployed, Upload({}, "archive")))


async def deployed_answer(call: Call, launched: Launched) -> Response:
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


APP = "/api/apps/{name}"
OWNERS = ("unauthorized", "not_found", "conflict")
ENDPOINTS = (
    Endpoint(
        method="POST", path=f"{APP}/deploys", handler=make_deploy, access=Access.OWNER, status=201,
        summary="Make a new version live: all files, or with `merge` the named ones. A failed one changes nothing.",
        upload=schema.DeployBody, query=schema.UploadQuery, answers=json_of(schema.Redeployed),
        errors=(
            *OWNERS, "cross_site", "bad_request", "invalid", "invalid_path", "invalid_archive", "no_entry", "too_large",
            "unsupported_media_type", "deploy_failed", "version_conflict", "overloaded", "disk_full", "not_implemented",
        ),
    ),
    Endpoint(
        method="GET", path=f"{APP}/deploys", handler=list_deploys, access=Access.OWNER,
        summary="Attempts to make a version live, newest first.", answers=json_of(schema.DeploysAnswer), errors=OWNERS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions", handler=list_versions, access=Access.OWNER,
        summary="All versions, newest first.", answers=json_of(schema.VersionsAnswer), errors=OWNERS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}", handler=show_version, access=Access.OWNER,
        summary="One version with its files.", answers=json_of(schema.VersionAnswer), errors=OWNERS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/files", handler=list_files, access=Access.OWNER,
        summary="One version's files.", answers=json_of(schema.FilesAnswer), errors=OWNERS,
    ),
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/files/{{path:path}}", handler=show_file, access=Access.OWNER,
        summary="One file as it was shipped: as plain text or bytes, never as a page.",
        answers={"text/plain": (str,), "application/octet-stream": (bytes,)}, errors=OWNERS,
    ),
    Endpoint(
        method="POST", path=f"{APP}/rollback", handler=roll_back, access=Access.OWNER, status=201,
        summary="Make an earlier version's code live again, as a new version.", body=schema.RollbackBody,
        answers=json_of(schema.Redeployed),
        errors=(
            *OWNERS, "cross_site", "bad_request", "invalid", "too_large", "unsupported_media_type", "deploy_failed",
            "not_implemented",
        ),
    ),
)  # fmt: skip


# Private


async def _version(call: Call) -> Version:
    shown_number = call.request.path_params["n"][:20]
    number = int(shown_number) if shown_number.isascii() and shown_number.isdigit() else 0
    version = await call.rooms.versions.one(call.app.id, number) if 0 < number < 2**53 else None
    if version is None:
        said = shown_number.encode("utf-8", "replace").decode()
        raise SteadyError("not_found", f"There is no version {said}.", {"version": said})
    return version


def _media_type(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if "\0" in text else "text/plain; charset=utf-8"
