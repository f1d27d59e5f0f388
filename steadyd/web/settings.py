"""API calls about an app's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict
from starlette.responses import Response

from steadyd.model import App, Choices, Event, Network, Principal, Visibility
from steadyd.quantity import written_duration, written_size
from steadyd.settings import ALSO, FIELDS, Source, change, sources
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms


async def show_settings(call: Call) -> Response:
    return json_answer(shown.settings(call.rooms, call.app))


async def change_settings(call: Call) -> Response:
    body = await call.body(schema.SettingsBody)
    wishes = _said(body)
    return json_answer(shown.settings(call.rooms, await choose(call.rooms, call.principal, call.app, wishes)))


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


@dataclass(frozen=True, slots=True)
class Row:
    """One setting on the app's page: `typed` is the owner's own choice, `now` is what is true without a new one."""

    name: str
    label: str
    typed: str
    now: str
    source: Source
    choices: tuple[str, ...] = ()


LABELS = {
    "memory": "Memory",
    "cpus": "Processors",
    "processes": "Processes",
    "disk": "Disk",
    "idle": "Sleeps after",
    "network": "Network",
    "notify": "Notify",
    "visibility": "Source seen by",
}
CHOICES: Mapping[str, type[StrEnum]] = {"network": Network, "visibility": Visibility}


def rows(app: App, typed: Mapping[str, str]) -> list[Row]:
    """The settings form's fields. `typed` is what was sent and refused."""
    said = sources(app.chosen, app.shipped)
    found = []
    for name, label in LABELS.items():
        field = FIELDS[name]
        now = getattr(app.settings, field) if hasattr(app.settings, field) else getattr(app.limits, field)
        chosen = getattr(app.chosen, field)
        own = "" if chosen is None else _written(name, chosen)
        choices = tuple(CHOICES.get(name, ()))
        found.append(Row(name, label, typed.get(name, own), _written(name, now), said[name], choices))
    return found


ONE = "/api/apps/{name}/settings"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ONE, handler=show_settings, access=Access.OWNER, answers=json_of(schema.SettingsAnswer),
        summary="What the app may use and reach, who said so, and how far it may go.",
        errors=("unauthorized", "not_found", "conflict"),
    ),
    Endpoint(
        method="PATCH", path=ONE, handler=change_settings, access=Access.OWNER, body=schema.SettingsBody,
        summary="Change settings of a running app without losing a request; `null` takes a choice back.",
        answers=json_of(schema.SettingsAnswer),
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


def _written(name: str, value: Any) -> str:
    if name in ("memory", "disk"):
        return written_size(value)
    return written_duration(value) if name == "idle" else f"{value:g}" if name == "cpus" else str(value)
