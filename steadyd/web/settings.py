"""API calls about an app's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict
from starlette.responses import Response

from steadyd.model import App, Choices, Durability, Event, Network, Principal, Visibility
from steadyd.settings import ALSO, Source, change, sources
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms

Amount = Annotated[int | float | str, Meta(description="A number, or a text such as `256MiB`, `15min` or `never`.")]


class TrialBody(schema.Strict):
    """How candidates are tried; `null` takes a choice back. `health` is a path, or false where listening is enough."""

    network: str | UnsetType | None = UNSET
    health: str | bool | UnsetType | None = UNSET
    mode: str | UnsetType | None = UNSET
    test: bool | UnsetType | None = UNSET


class SettingsBody(schema.Strict):
    """Only what is named changes; `null` takes the owner's choice back. Names with a unit are understood too."""

    memory: Amount | UnsetType | None = UNSET
    cpus: Amount | UnsetType | None = UNSET
    processes: Amount | UnsetType | None = UNSET
    disk: Amount | UnsetType | None = UNSET
    idle: Amount | UnsetType | None = UNSET
    network: str | UnsetType | None = UNSET
    notify: str | UnsetType | None = UNSET
    trial: TrialBody | UnsetType | None = UNSET
    visibility: str | UnsetType | None = UNSET
    auto_rollback: bool | UnsetType | None = UNSET
    durability: str | UnsetType | None = UNSET
    memory_bytes: Amount | UnsetType | None = UNSET
    disk_bytes: Amount | UnsetType | None = UNSET
    idle_seconds: Amount | UnsetType | None = UNSET


class EffectiveSettings(schema.Strict):
    """What is true now. Memory and disk are bytes (0: no limit), `idle` is seconds or `never`."""

    memory: int
    cpus: float
    processes: int
    disk: int
    idle: float | Literal["never"]
    network: Network
    notify: str
    trial: schema.Trial
    visibility: Visibility
    auto_rollback: bool
    durability: Durability


class SettingSources(schema.Strict):
    """Who said so: the owner, the live version's own file, or the host."""

    memory: Source
    cpus: Source
    processes: Source
    disk: Source
    idle: Source
    network: Source
    notify: Source
    trial: Source
    visibility: Source
    auto_rollback: Source
    durability: Source


class SettingCeilings(schema.Strict):
    """The most that this host allows; 0 is no limit."""

    memory: int
    cpus: float
    processes: int
    disk: int


class SettingsAnswer(schema.Strict):
    settings: EffectiveSettings
    sources: SettingSources
    ceilings: SettingCeilings


async def show_settings(call: Call) -> Response:
    return json_answer(_shown(call.rooms, call.app))


async def change_settings(call: Call) -> Response:
    body = await call.body(SettingsBody)
    wishes = _said(body)
    return json_answer(_shown(call.rooms, await choose(call.rooms, call.principal, call.app, wishes)))


async def choose(rooms: Rooms, by: Principal, app: App, wishes: Mapping[str, Any]) -> App:
    """Set what the owner wishes and make it true; returns the app as it is then.

    Raises:
        SteadyError: `invalid`, naming the field, and the ceiling where it is too much.
    """

    def chosen(before: Choices) -> Choices:
        rooms.apps.policy.check(change(Choices(), wishes), app.owner_kind)
        return change(before, wishes)

    chosen(app.chosen)
    if not wishes:
        return app
    app = await rooms.controller.settle(by, app, chosen)
    told = f"Settings changed: {', '.join(ALSO.get(name, name) for name in wishes)}."
    rooms.fleet.note(app.id, Event(rooms.now(), "settings", told))
    return app


ONE = "/api/apps/{name}/settings"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ONE, handler=show_settings, access=Access.OWNER, answers=json_of(SettingsAnswer),
        summary="What the app may use and reach, who said so, and how far it may go.",
        errors=("unauthorized", "not_found", "conflict"),
    ),
    Endpoint(
        method="PATCH", path=ONE, handler=change_settings, access=Access.OWNER, body=SettingsBody,
        summary="Change settings of a running app without losing a request; `null` takes a choice back.",
        answers=json_of(SettingsAnswer),
        errors=tuple(
            "bad_request unauthorized not_found conflict invalid unsupported_media_type too_large deploy_failed "
            "secrets_locked".split()
        ),
    ),
)  # fmt: skip


# Private


def _said(body: schema.Strict) -> dict[str, Any]:
    """What a body names, and what its objects name."""
    named = {name: value for name, value in asdict(body).items() if value is not UNSET}
    return {name: _said(value) if isinstance(value, schema.Strict) else value for name, value in named.items()}


def _shown(rooms: Rooms, app: App) -> SettingsAnswer:
    """What is set, by whom, and how far it may go."""
    now, ceiling = app.settings, rooms.apps.policy.ceiling(app.owner_kind)
    return SettingsAnswer(
        settings=EffectiveSettings(
            memory=now.limits.memory_bytes,
            cpus=now.limits.cpus,
            processes=now.limits.processes,
            disk=now.limits.disk_bytes,
            idle=now.idle_seconds or "never",
            network=now.network,
            notify=now.notify,
            trial=shown.trial(now.trial),
            visibility=now.visibility,
            auto_rollback=now.auto_rollback,
            durability=now.durability,
        ),
        sources=SettingSources(**sources(app.chosen, app.shipped)),
        ceilings=SettingCeilings(
            memory=ceiling.memory_bytes, cpus=ceiling.cpus, processes=ceiling.processes, disk=ceiling.disk_bytes
        ),
    )
