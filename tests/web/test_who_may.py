"""Who may make which call: every operation that openapi.json describes, by everybody, on a real stage.

The table is tests/web/calls.py. An operation without a row fails, so no route is added without a decision.
"""

from __future__ import annotations

from collections.abc import Iterable

from steadyd.web.app import endpoints
from steadyd.web.openapi import document
from tests.web.calls import CALLS, DEAD, EVERYBODY, OK, Row, Scene, everybody, request_of
from tests.web.conftest import CONTROL, Stage, Web, code

LOOPBACK = "127.0.0.1"
"""No limit per address there: this asks more in a minute than a person in an hour."""


def operations(stage: Stage) -> dict[str, int]:
    """`METHOD /path` → the status of success (202 is for whoever prefers not to wait), from the document itself."""
    paths = document(endpoints(stage.rooms), CONTROL)["paths"]
    return {
        f"{method.upper()} {path}": min(int(status) for status in call["responses"] if status != "202")
        for path, methods in paths.items()
        for method, call in methods.items()
    }


def without_a_row(found: Iterable[str], rows: Iterable[str]) -> list[str]:
    found, rows = set(found), set(rows)
    lacking = [f"{operation}: has no row in tests/web/calls.py; decide who may" for operation in found - rows]
    return sorted(lacking) + [f"{operation}: has a row and is no operation" for operation in sorted(rows - found)]


async def complaints(scene: Scene, operation: str, row: Row, success: int) -> list[str]:
    """Ask as everybody, those first who may not."""
    said = []
    before = await scene.stage.rooms.apps.by_name("theirs")
    for caller, status in sorted(row.rule.items(), key=lambda item: item[1] == OK):
        if status == OK and before is not None:
            assert await scene.stage.rooms.apps.by_name("theirs") == before, f"{operation}: changed by who may not"
            before = None
        method, path, content, kind = await request_of(scene, operation)
        async with scene.stage.client(await scene.token(caller), **{"x-forwarded-for": LOOPBACK}) as client:
            answer = await client.request(method, path, content=content, headers={"content-type": kind})
        expected = status or row.outcome or success
        if answer.status_code != expected:
            said.append(f"{operation} as {caller}: {answer.status_code}, not {expected}: {answer.text[:200]}")
        elif answer.status_code >= 400:
            code(answer)
    deleted = await scene.stage.rooms.apps.by_name("theirs")
    if deleted is not None and deleted.deleted_at is not None:
        await scene.stage.rooms.removal.undelete(scene.owner, deleted)
    return said


def test_every_operation_has_a_rule(web: Web) -> None:
    async def body(stage: Stage) -> None:
        assert without_a_row(operations(stage), CALLS) == []

    web(body)


def test_a_new_route_without_a_rule_is_found() -> None:
    assert without_a_row(["GET /api/new"], []) == ["GET /api/new: has no row in tests/web/calls.py; decide who may"]
    assert without_a_row([], ["GET /api/old"]) == ["GET /api/old: has a row and is no operation"]


def test_every_rule_is_about_everybody() -> None:
    for operation, row in CALLS.items():
        assert row.rule.keys() == EVERYBODY.keys(), operation
        assert {caller: row.rule[caller] for caller in DEAD} == DEAD, operation


def test_everybody_gets_what_the_table_says(web: Web) -> None:
    async def body(stage: Stage) -> None:
        scene, said = await everybody(stage), []
        for operation, success in operations(stage).items():
            if operation in CALLS:
                said += await complaints(scene, operation, CALLS[operation], success)
        assert said == []

    web(body)
