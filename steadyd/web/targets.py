"""API calls about the targets that the operator opens to an app: never an app's own file, never its owner."""

from __future__ import annotations

from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.reach import Target, parse_target
from steadyd.web import schema
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of, no_such_app


class TargetBody(schema.Strict):
    """An IPv4 address and a port, or `host` and a port of this machine's loopback."""

    target: str


class TargetsAnswer(schema.Strict):
    targets: list[str]


async def show(call: Call) -> Response:
    return _answer(await call.rooms.targets.of(call.app.id))


async def allow(call: Call) -> Response:
    target = parse_target((await call.body(TargetBody)).target)
    app = await _app(call)
    return await _made_true(call, app, await call.rooms.targets.add(app.id, target))


async def refuse(call: Call) -> Response:
    target = parse_target(call.request.path_params["target"])
    app = await _app(call)
    return await _made_true(call, app, await call.rooms.targets.remove(app.id, target))


ALL = "/api/apps/{name}/targets"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=show, access=Access.OWNER, answers=json_of(TargetsAnswer),
        summary="Private addresses and ports of this machine that the operator opened to the app.",
        errors=("unauthorized", "not_found", "conflict"),
    ),
    Endpoint(
        method="POST", path=ALL, handler=allow, access=Access.OPERATOR, body=TargetBody,
        answers=json_of(TargetsAnswer),
        summary="Open `10.0.0.5:5432`, or a port of this machine's loopback as `host:11434`; true at once.",
        errors=tuple("bad_request unauthorized not_found invalid unsupported_media_type too_large".split()),
    ),
    Endpoint(
        method="DELETE", path=f"{ALL}/{{target}}", handler=refuse, access=Access.OPERATOR,
        answers=json_of(TargetsAnswer), summary="Close it again; what is connected is cut.",
        errors=("unauthorized", "not_found", "invalid"),
    ),
)  # fmt: skip


# Private


async def _app(call: Call) -> App:
    name = call.request.path_params["name"]
    app = await call.rooms.apps.by_name(name)
    if app is None:
        raise no_such_app(name, call.caller)
    return app


async def _made_true(call: Call, app: App, targets: tuple[Target, ...]) -> Response:
    """Also for an instance that runs. What the records say is true from the next start on in any case."""
    networks = call.rooms.fleet.ground.starter.networks
    if networks is not None:
        try:
            await networks.set_targets(app.id, targets)
        except SteadyError as error:
            call.rooms.logs.say(app.id, 0, f"Its open targets change at the next start: {error.message}")
    return _answer(targets)


def _answer(targets: tuple[Target, ...]) -> Response:
    return json_answer(TargetsAnswer(targets=[str(target) for target in targets]))
