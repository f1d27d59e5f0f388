"""API calls about operations: the journal of work in several steps, per app and per person, and its end by wish."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta
from starlette.responses import Response

from steadyd.errors import SteadyError
from steadyd.records import journal
from steadyd.web import schema, shown
from steadyd.web.answers import json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms

LISTED_MAX = 500


class ListOperationsQuery(schema.Strict):
    limit: Annotated[int, Meta(ge=1, le=LISTED_MAX, description="How many of the newest.")] = 100


class Operation(schema.Strict):
    """Work in several steps. `step` is the last one that began, `steps` are those that ended; `undone` is one that the
    daemon's end interrupted before anything was changed."""

    id: int
    app: str
    kind: str
    by: str
    status: Literal["running", "done", "failed", "cancelled", "undone"]
    step: str
    steps: list[schema.Step]
    started_at: datetime
    finished_at: datetime | None
    ms: float | None
    error: schema.ErrorDetail | None


class OperationAnswer(schema.Strict):
    operation: Operation


class OperationsAnswer(schema.Strict):
    operations: list[Operation]


async def list_app_operations(call: Call) -> Response:
    limit = call.query(ListOperationsQuery).limit
    return _answer(await call.rooms.journal.operations(app_id=call.app.id, limit=limit))


async def list_operations(call: Call) -> Response:
    limit = call.query(ListOperationsQuery).limit
    return _answer(await call.rooms.journal.operations(principal_id=call.principal.id, limit=limit))


async def show_operation(call: Call) -> Response:
    return json_answer(OperationAnswer(operation=operation(current(call.rooms, await _find(call)))))


async def cancel_operation(call: Call) -> Response:
    await call.body(schema.Nothing)
    await cancel(call.rooms, await _find(call))
    return json_answer(OperationAnswer(operation=operation(await _find(call))))


async def as_of_now(rooms: Rooms, number: int) -> Operation | None:
    found = await rooms.journal.operation(number)
    return None if found is None else operation(current(rooms, found))


def current(rooms: Rooms, found: journal.Operation) -> journal.Operation:
    """An operation with every step that has ended; the journal is told of the last one when the next begins."""
    present = rooms.workshop.operations.present(found.id)
    if present is None or found.outcome:
        return found
    return replace(found, step=present.current or found.step, steps=tuple(present.steps))


async def cancel(rooms: Rooms, found: journal.Operation) -> None:
    """Stop it, and return when it is undone.

    Raises:
        SteadyError: `conflict` where it has ended, or is not cut any more.
    """
    if found.outcome:
        raise SteadyError("conflict", f"Operation {found.id} has ended already: {found.outcome}.")
    if not await rooms.workshop.operations.cancel(found.id):
        message = f"Operation {found.id} is at “{found.step}”, where it is not cut: it ends in a moment."
        raise SteadyError("conflict", message, {"step": found.step}, retry_after=1)


def operation(found: journal.Operation) -> Operation:
    """An operation as the API shows it."""
    finished = found.finished_at
    return Operation(
        id=found.id,
        app=found.app_name,
        kind=found.kind,
        by=found.by,
        status=found.outcome or "running",  # type: ignore[arg-type]  # the journal's own words
        step=found.step,
        steps=[shown.step(step) for step in found.steps],
        started_at=shown.moment(found.started_at),
        finished_at=None if finished is None else shown.moment(finished),
        ms=None if finished is None else round((finished - found.started_at) * 1000, 1),
        error=None if found.error is None else schema.ErrorDetail(**found.error),
    )


ONE = "/api/operations/{id}"
ENDPOINTS = (
    Endpoint(
        method="GET", path="/api/apps/{name}/operations", handler=list_app_operations, access=Access.OWNER,
        summary="What was done to the app, newest first: deploys, rollbacks, restarts and so on with their steps.",
        query=ListOperationsQuery, answers=json_of(OperationsAnswer),
        errors=("unauthorized", "not_found", "conflict", "invalid"),
    ),
    Endpoint(
        method="GET", path="/api/operations", handler=list_operations, access=Access.KNOWN,
        summary="What you asked for, newest first.", query=ListOperationsQuery, answers=json_of(OperationsAnswer),
        errors=("unauthorized", "invalid"),
    ),
    Endpoint(
        method="GET", path=ONE, handler=show_operation, access=Access.KNOWN,
        summary="One operation: of an app of yours, or one that you asked for.", answers=json_of(OperationAnswer),
        errors=("unauthorized", "not_found"),
    ),
    Endpoint(
        method="POST", path=f"{ONE}/cancel", handler=cancel_operation, access=Access.KNOWN, body=schema.Nothing,
        summary="Stop it, if requests are not held for it yet: nothing is changed then.",
        answers=json_of(OperationAnswer), errors=("unauthorized", "not_found", "cross_site", "conflict"),
    ),
)  # fmt: skip


# Private


def _answer(found: list[journal.Operation]) -> Response:
    return json_answer(OperationsAnswer(operations=[operation(item) for item in found]))


async def _find(call: Call) -> journal.Operation:
    number, said = call.number("id")
    found = await call.rooms.journal.operation(number) if number else None
    if found is not None and not await _may_know(call, found):
        found = None
    if found is None:
        raise SteadyError("not_found", f"You have no operation {said}.", {"id": said})
    return found


async def _may_know(call: Call, found: journal.Operation) -> bool:
    if found.principal_id == call.principal.id or call.principal.is_operator:
        return True
    app = await call.rooms.apps.by_id(found.app_id)
    return app is not None and call.caller.owns(app)
