"""The calls over rooms at rest; what really comes back is tried in tests/backup/test_room.py and tests/e2e."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from steadyd.moment import Mark, Point, PointKind, PointState
from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/shop/backups"


async def call(here: Stage, method: str, path: str, **more: Any) -> httpx.Response:
    async with here.client(here.operator_token) as client:
        return await client.request(method, path, **more)


def test_an_app_that_keeps_nothing_says_so(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("shop")
        answer = (await call(here, "GET", PATH)).json()
        assert (answer["state"], answer["summary"]) == ("nothing", "nothing was written")
        assert (answer["databases"], answer["points"], answer["proof"]) == ([], [], None)
        assert answer["target"].startswith("file://")

    web(body)


def test_points_are_made_and_listed(web: Web) -> None:
    async def body(here: Stage) -> None:
        app = await here.app("shop")
        made = await call(here, "POST", PATH, json={"note": "before"})
        assert made.status_code == 201
        point = made.json()["point"]
        assert (point["kind"], point["note"], point["version"], point["state"]) == ("manual", "before", 1, "pending")
        assert [one["id"] for one in (await call(here, "GET", PATH)).json()["points"]] == [point["id"]]
        moment = (await call(here, "GET", f"{PATH}/moment?at=point:{point['id']}")).json()["moment"]
        assert (moment["point"], moment["precision_seconds"], moment["version"]) == (point["id"], 0.0, 1)
        mark = Mark(1.0)
        broken = Point(0, app.id, PointKind.DEPLOY, mark, "ada", "", 1, None, PointState.BROKEN, "an object is gone")
        kept = await here.rooms.library.points.add(broken)
        assert code(await call(here, "POST", "/api/apps/shop/restore", json={"point": kept.id})) == "backup_broken"

    web(body)


def test_there_is_nothing_to_try_where_nothing_is_kept(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("shop")
        assert code(await call(here, "POST", f"{PATH}/drill")) == "conflict"

    web(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "invalid"),
        ({"at": "2h ago", "point": 1}, "invalid"),
        ({"at": "soon"}, "invalid"),
        ({"at": "2999-01-01"}, "invalid"),
        ({"point": 99}, "not_found"),
        ({"at": "2h ago"}, "not_reachable"),
        ({"at": "before:deploy:1"}, "not_reachable"),
        ({"when": "2h ago"}, "invalid"),
    ],
)
def test_what_cannot_be_restored_is_told_and_changes_nothing(web: Web, body: dict[str, Any], expected: str) -> None:
    async def check(here: Stage) -> None:
        await here.app("shop")
        assert code(await call(here, "POST", "/api/apps/shop/restore", json=body)) == expected

    web(check)


@pytest.mark.parametrize(
    ("data", "expected"),
    [("soon", "invalid"), ("99", "not_found"), ("version", "not_reachable"), ("2h ago", "not_reachable")],
)
def test_a_rollback_with_data_that_cannot_be_had_changes_nothing(web: Web, data: str, expected: str) -> None:
    async def check(here: Stage) -> None:
        await here.app("shop")
        body = {"version": 1, "data": data}
        assert code(await call(here, "POST", "/api/apps/shop/rollback", json=body)) == expected
        assert (await call(here, "GET", "/api/apps/shop")).json()["app"]["version"] == 1

    web(check)
