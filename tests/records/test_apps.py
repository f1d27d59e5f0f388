from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import File, Principal
from steadyd.records import apps as apps_module
from steadyd.records.apps import Apps, deleting, going_live, holding, moved
from steadyd.records.journal import Journal
from steadyd.records.names import Names
from steadyd.records.people import People
from steadyd.store import Database
from steadyd.terms import Terms

NOW = 1_000_000.0
FILES = (File("index.ts", "a" * 64, 3), File("logo.png", "b" * 64, 5))
Body = Callable[[Apps, Principal], Coroutine[Any, Any, None]]


@pytest.fixture
def run(database: Database) -> Callable[[Body], None]:
    """Runs a test's body with the apps and an owner."""

    async def go(body: Body) -> None:
        await body(Apps(database), await People(database).add_guest(NOW))

    return lambda body: asyncio.run(go(body))


async def refusal(work: Coroutine[Any, Any, object]) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await work
    return caught.value


def test_a_new_app_has_no_version_and_a_host_name(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, False, NOW)
        assert (app.name, app.version, app.owner_name, app.expires_at) == ("hello", 0, owner.name, None)
        assert await apps.by_id(app.id) == await apps.by_name("hello") == app
        assert await Names(apps._database).hostnames() == {"hello": app.id}

    run(body)


def test_a_name_is_given_once(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        stranger = Principal("stranger", owner.kind, "Stranger", NOW)
        app = await apps.create("hello", owner, False, NOW)
        mine = await refusal(apps.create("hello", owner, False, NOW))
        theirs = await refusal(apps.create("hello", stranger, False, NOW))
        assert (mine.code, mine.details["yours"], theirs.details["yours"]) == ("name_taken", True, False)
        assert "PUT /api/apps/hello" in mine.message
        await apps.write(deleting(app.id, NOW))
        assert "undelete" in (await refusal(apps.create("hello", owner, False, NOW))).message
        await apps.remove(app.id, NOW)
        assert (await apps.create("hello", owner, False, NOW)).number > app.number

    run(body)


def test_without_a_name_it_gets_a_random_one(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        names = {(await apps.create(None, owner, False, NOW)).name for _ in range(5)}
        assert len(names) == 5

    run(body)


def test_random_names_are_tried_a_limited_number_of_times(
    run: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def same_name() -> str:
        tries.append("always-same")
        return tries[-1]

    monkeypatch.setattr(apps_module, "random_name", same_name)

    async def body(apps: Apps, owner: Principal) -> None:
        await apps.create(None, owner, False, NOW)
        tries.clear()
        assert (await refusal(apps.create(None, owner, False, NOW))).code == "conflict"
        assert len(tries) == apps_module.RANDOM_NAME_TRIES_MAX

    run(body)


def test_a_temporary_app_expires_a_while_after_its_last_edit(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, True, NOW)
        assert app.expires_at == NOW + Terms().temporary_seconds
        await apps.write(going_live(app, 1, NOW + 60, Terms()))
        edited = await apps.by_id(app.id)
        assert edited
        assert (edited.expires_at, edited.updated_at) == (NOW + 60 + Terms().temporary_seconds, NOW + 60)

    run(body)


def test_going_live_ends_a_hold(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, False, NOW)
        await apps.write(holding(app.id, True))
        held = await apps.by_id(app.id)
        await apps.write(going_live(app, 1, NOW, Terms()))
        live = await apps.by_id(app.id)
        assert held
        assert live
        assert (held.held, live.held, live.version) == (True, False, 1)

    run(body)


def test_a_deleted_app_keeps_its_name_and_loses_its_host_name(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, False, NOW)
        await apps.write(deleting(app.id, NOW + 5))
        assert await Names(apps._database).hostnames() == {}
        assert (await apps.everything(), await apps.of_owner(owner.id)) == ([], [])
        assert [gone.deleted_at for gone in await apps.of_owner(owner.id, deleted=True)] == [NOW + 5]
        await apps.write(apps.bringing_back(app.id, NOW))
        assert await apps.everything() == [app]
        assert await Names(apps._database).hostnames() == {"hello": app.id}

    run(body)


def test_an_app_that_changes_hands_stays(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, True, NOW)
        heir = await People(apps._database).add_guest(NOW)
        await apps.write(moved(app.id, heir, NOW + 5))
        now = await apps.by_id(app.id)
        assert now is not None
        assert (now.name, now.owner_id, now.temporary, now.expires_at) == ("hello", heir.id, False, None)

    run(body)


def test_a_guest_has_so_many_apps(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        made = [await apps.create(None, owner, True, NOW) for _ in range(apps.policy.guest_apps)]
        error = await refusal(apps.create(None, owner, True, NOW))
        assert (error.code, error.details) == ("app_limit", {"limit": 5})
        assert "sign up" in error.message
        at_once = [apps.create(None, await People(apps._database).add_guest(NOW), True, NOW) for _ in range(6)]
        assert len(await asyncio.gather(*at_once)) == 6, "of one guest, not of all"
        await apps.write(deleting(made[0].id, NOW))
        await apps.create(None, owner, True, NOW)
        operator = await People(apps._database).operator(NOW)
        for _ in range(apps.policy.guest_apps + 1):
            await apps.create(None, operator, False, NOW)

    run(body)


def test_several_writes_are_true_at_once_or_not_at_all(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, False, NOW)
        await apps.create("other", owner, False, NOW)
        names = Names(apps._database)
        taken = apps.write(moved(app.id, owner, NOW + 5), names.rename(app.id, "other", NOW))
        assert (await refusal(taken)).code == "name_taken"
        assert await apps.by_id(app.id) == app

    run(body)


def test_what_is_purged_at_this_moment_is_not_brought_back(run: Callable[[Body], None]) -> None:
    async def body(apps: Apps, owner: Principal) -> None:
        app = await apps.create("hello", owner, False, NOW)
        journal = Journal(apps._database)
        number = await journal.begin(app, "purge", owner, NOW)
        await journal.commit(number, [deleting(app.id, NOW)])
        assert (await refusal(apps.write(apps.bringing_back(app.id, NOW)))).code == "not_found"
        heir = await People(apps._database).add_guest(NOW)
        claim = apps.write(moved(app.id, heir, NOW), apps.bringing_back(app.id, NOW))
        assert (await refusal(claim)).code == "not_found"
        after = await apps.by_id(app.id)
        assert after is not None
        assert (after.owner_id, after.deleted_at) == (owner.id, NOW)

    run(body)
