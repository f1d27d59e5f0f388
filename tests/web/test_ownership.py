"""Who may keep which app, and what it takes to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, Kind, Principal
from steadyd.web.ownership import check_claim
from tests.web.conftest import HELLO, Stage, Web, code

APP = App("id", 1, "hello", "g", "Guest", 1, temporary=True, held=False, created_at=0.0, updated_at=0.0)
GUEST, USER, OTHER = (Principal(kind[0], Kind(kind), kind, 0.0) for kind in ("guest", "user", "operator"))
THEIRS = replace(APP, owner_kind=Kind.GUEST)


@pytest.mark.parametrize(
    ("app", "by", "holders", "says"),
    [
        (THEIRS, USER, [GUEST], ""),
        (THEIRS, OTHER, [USER, GUEST], ""),
        (replace(APP, owner_id="u"), USER, [], ""),
        (THEIRS, USER, [], "Show the token"),
        (THEIRS, USER, [OTHER], "Show the token"),
        (THEIRS, OTHER, [], "Show the token"),
        (THEIRS, GUEST, [GUEST], "Sign up"),
        (replace(APP, owner_id="u"), OTHER, [USER], "somebody with an account"),
    ],
)
def test_who_may(app: App, by: Principal, holders: list[Principal], says: str) -> None:
    if not says:
        check_claim(app, by, holders)
        return
    with pytest.raises(SteadyError, match=says) as caught:
        check_claim(app, by, holders)
    assert caught.value.code == "forbidden"


async def user(stage: Stage) -> tuple[str, str]:
    """Somebody with an account: id and token."""
    made = Principal("userperson12", Kind.USER, "ada", 0.0)
    sql = "INSERT INTO principals (id, kind, name, created_at) VALUES (?, ?, ?, ?)"
    values = (made.id, str(made.kind), made.name, 0.0)
    await stage.rooms.apps._database.write(lambda db: db.execute(sql, values))
    return made.id, await stage.rooms.people.add_token(made, "test", 0.0)


def test_a_guest_s_app_is_kept_by_its_token_and_stays_where_it_is(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        before, (user_id, token) = await stage.app("hello", guest), await user(stage)
        async with stage.client(token) as client:
            for sent in ({}, {"token": "steady_wrong"}):
                refused = await client.post("/api/apps/hello/claim", json=sent)
                assert (refused.status_code, code(refused)) == (403, "forbidden")
            claimed = await client.post("/api/apps/hello/claim", json={"token": guest})
            assert claimed.status_code == 200, claimed.text
            shown = claimed.json()["app"]
            assert (shown["name"], shown["url"], shown["owner"]) == ("hello", "http://hello.localhost:8080", "ada")
            assert (shown["temporary"], shown["expires_at"]) == (False, None)
            assert shown["limits"]["memory_bytes"] == 256 << 20
            assert (await client.post("/api/apps/hello/claim", json={})).status_code == 200, "again"
        after = await stage.rooms.apps.by_name("hello")
        assert after is not None
        assert (after.id, after.owner_id) == (before.id, user_id)
        async with stage.client(guest) as client:
            assert (await client.put("/api/apps/hello", content=HELLO)).status_code == 409
            refused = await client.post("/api/apps/hello/claim", json={"token": guest})
            assert (refused.status_code, code(refused)) == (403, "forbidden")

    web(body)


def test_who_signs_up_has_an_account_s_class_for_what_runs_at_once(web: Web) -> None:
    """A running instance cannot leave the guests' class and network: it gets a fresh one."""

    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        app = await stage.app("hello", guest)
        async with stage.client(guest) as client:
            made = await client.post("/api/users", json={"username": "ada", "password": "correct horse"})
            assert made.status_code == 201, made.text
        running = [plan for plan in stage.rooms.fleet.ground.starter.running.values() if plan.app_id == app.id]
        assert [(plan.tier, plan.reach.guest) for plan in running] == [("accounts", False)]
        assert [plan.limits.memory_bytes for plan in running] == [256 << 20]

    web(body)


def test_a_session_of_the_guest_beside_a_user_s_token_is_proof(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = (await user(stage))[1]
        guest = await stage.rooms.people.add_guest(0.0)
        await stage.app("hello", await stage.rooms.people.add_token(guest, "t", 0.0))
        secret = await stage.rooms.people.add_session(guest, stage.rooms.now())
        cookie = f"__Host-steady-session-8080={secret}"
        async with stage.client(token, cookie=cookie) as client:
            assert (await client.post("/api/apps/hello/claim", json={})).status_code == 200

    web(body)


def test_a_temporary_app_of_one_s_own_is_kept_without_a_token(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client((await user(stage))[1]) as client:
            made = await client.post("/api/apps?name=hello&temporary=true", content=HELLO)
            assert made.json()["app"]["temporary"] is True, made.text
            kept = (await client.post("/api/apps/hello/claim")).json()["app"]
            assert (kept["temporary"], kept["expires_at"], kept["version"]) == (False, None, 1)

    web(body)


def test_who_has_no_account_keeps_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.guest()
        await stage.app("hello", guest)
        cases: list[tuple[str, dict[str, Any], int]] = [("", {"token": guest}, 401), (guest, {"token": guest}, 403)]
        for token, sent, status in cases:
            async with stage.client(token) as client:
                assert (await client.post("/api/apps/hello/claim", json=sent)).status_code == status
        async with stage.client((await user(stage))[1]) as client:
            assert (await client.post("/api/apps/nothing/claim", json={"token": guest})).status_code == 404
            assert (await client.post("/api/apps/hello/claim", json={"tokens": guest})).status_code == 422

    web(body)


def test_what_has_expired_is_claimable_and_hidden_from_others(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest, (_, token) = await stage.guest(), await user(stage)
        app = await stage.app("hello", guest)
        await stage.rooms.removal.delete(stage.operator, app)
        async with stage.client(token) as client:
            assert (await client.post("/api/apps/hello/claim", json={})).status_code == 404
            claimed = await client.post("/api/apps/hello/claim", json={"token": guest})
            assert (claimed.status_code, claimed.json()["app"]["state"]) == (200, "stopped")
            assert "deleted_at" not in claimed.json()["app"]

    web(body)
