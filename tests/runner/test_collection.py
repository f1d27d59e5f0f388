"""What nobody keeps goes, in its time and without a trace; what somebody keeps at the last moment stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.model import App, AppState, Kind, Origin
from steadyd.runner.collection import JUMP_SECONDS, SETTLE_SECONDS, Collection
from steadyd.runner.engine import Engine
from steadyd.terms import DAY_SECONDS, Terms
from tests.runner.conftest import COUNTER, World, run, tree, world

WEEK = 7 * DAY_SECONDS
NOW = 1_000_000.0


def collection(here: World) -> Collection:
    return Collection(here.fleet, here.removal, settle_seconds=0.0)


async def temporary(here: World, name: str = "hello") -> App:
    made = await here.deployer.create(await here.people.add_guest(1.0), name, tree(COUNTER), Origin("paste"), True)
    assert made.app.expires_at is not None
    return made.app


async def reload(here: World, app: App) -> App:
    found = await here.apps.by_id(app.id)
    assert found is not None
    return found


def test_a_temporary_app_expires_and_then_goes_without_a_trace(root: Path, bun: Engine) -> None:
    """L263: no process, file, row, route, or content that nobody else has is left, and its name is kept."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create('export default { fetch: () => new Response("stays") };', "other")
            app, look = await temporary(here), collection(here)
            await here.ask(method="POST")
            at = app.expires_at or 0.0
            await look.tick(at - 1, 0.0)
            assert (await reload(here, app)).deleted_at is None
            await look.tick(at, 1.0)
            expired = await reload(here, app)
            assert (here.fleet.state(expired), set(here.routes)) == (AppState.DELETED, {"other.localhost"})
            assert here.fleet.ground.place(app).root.exists()
            told = [event.message for app_id, event in here.heard if (app_id, event.kind) == (app.id, "delete")]
            assert told[0].startswith("Stopped: it was temporary, and nobody edited it for 7 days.")
            gone = (expired.deleted_at or 0.0) + WEEK
            await look.tick(gone - 1, 2.0)
            assert await here.apps.by_id(app.id) is not None
            await look.tick(gone, 3.0)
            assert await here.apps.by_id(app.id) is None
            assert not here.fleet.ground.place(app).root.exists()
            for table in ("versions", "deploys", "events", "hostnames"):
                assert not await here.rows(f"SELECT 1 FROM {table} WHERE app_id = '{app.id}'"), table
            assert len([path for path in (root / "blobs").rglob("*") if path.is_file()]) == 1
            assert await here.rows("SELECT name, owner_id FROM former_names") == [("hello", app.owner_id)]
            assert await here.ask(name="other") == "stays"

    run(body())


def test_what_was_deleted_goes_when_its_time_is_over(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            await here.removal.delete(await here.operator(), await here.app())
            app, look = await here.app(), collection(here)
            assert app.deleted_at is not None
            await look.tick(app.deleted_at + 30 * DAY_SECONDS - 1, 0.0)
            assert await here.apps.by_id(app.id) is not None
            await look.tick(app.deleted_at + 30 * DAY_SECONDS, 1.0)
            assert await here.apps.by_id(app.id) is None

    run(body())


@pytest.mark.parametrize("kept_by", ["a deploy", "an undelete", "a claim"])
def test_what_is_kept_at_the_last_moment_stays(root: Path, bun: Engine, kept_by: str) -> None:
    """Whoever looked before and acts afterwards asks again in the same transaction."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app, look = await temporary(here), collection(here)
            owner = await here.people.by_id(app.owner_id)
            assert owner is not None
            at = app.expires_at or 0.0
            if kept_by != "a deploy":
                await look.tick(at, 0.0)
            seen = await reload(here, app)
            if kept_by == "a deploy":
                await here.deployer.deploy(owner, app, tree(COUNTER), Origin("paste"))
            elif kept_by == "an undelete":
                await here.removal.undelete(owner, seen)
            else:
                await here.workshop.identity.claim(await here.operator(), seen)
            now = await reload(here, app)
            assert now.deleted_at is None
            assert (now.expires_at is None) == (kept_by == "a claim")
            await look._expire(seen, at)  # what it saw before; it must ask again

    with pytest.raises(Exception, match=r"kept after all|somebody else"):
        run(body())


def test_a_clock_that_jumps_removes_nothing_until_it_has_settled(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app = await temporary(here)
            look, at = Collection(here.fleet, here.removal), app.expires_at or 0.0
            await look.tick(at - WEEK, 0.0)
            await look.tick(at - WEEK + SETTLE_SECONDS, SETTLE_SECONDS)
            far = 100 * WEEK
            jumped = SETTLE_SECONDS + JUMP_SECONDS
            await look.tick(at + far, jumped)
            await look.tick(at + far + SETTLE_SECONDS - 1, jumped + SETTLE_SECONDS - 1)
            assert (await reload(here, app)).deleted_at is None, "the clock may be wrong"
            await look.tick(at - DAY_SECONDS, jumped + SETTLE_SECONDS)
            await look.tick(at - DAY_SECONDS + SETTLE_SECONDS, jumped + 2 * SETTLE_SECONDS)
            assert (await reload(here, app)).deleted_at is None, "and was put right"
            await look.tick(at + far, jumped + 3 * SETTLE_SECONDS)
            await look.tick(at + far + SETTLE_SECONDS, jumped + 4 * SETTLE_SECONDS)
            assert (await reload(here, app)).deleted_at is not None, "or is right after all"

    run(body())


def test_a_name_whose_time_is_over_leads_nowhere(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            await here.workshop.identity.rename(await here.operator(), await here.app(), "other")
            assert here.moved == {"hello.localhost": "http://other.localhost:8080"}
            until = (await here.rows("SELECT until FROM former_names"))[0][0]
            here.moved = {}
            look = collection(here)
            await look.tick(until - 1, 0.0)
            assert await here.rows("SELECT 1 FROM former_names")
            await look.tick(until, 1.0)
            assert not await here.rows("SELECT 1 FROM former_names")

    run(body())


def test_an_error_ends_neither_the_look_nor_the_loop(root: Path, bun: Engine) -> None:
    """One app that cannot be removed now (its disk is full, say) keeps nobody else."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            first, second = await temporary(here, "first"), await temporary(here, "second")
            still = here.apps.still

            def refuse(app_id: str, *rest: object) -> object:
                return still("nobody" if app_id == first.id else app_id, *rest)  # type: ignore[arg-type]

            vars(here.apps)["still"] = refuse
            await collection(here).tick(max(first.expires_at or 0.0, second.expires_at or 0.0), 0.0)
            assert (await reload(here, first)).deleted_at is None
            assert (await reload(here, second)).deleted_at is not None
            loop = asyncio.create_task(collection(here).run())
            await asyncio.sleep(0)
            assert not loop.done()
            loop.cancel()

    run(body())


def test_terms_can_be_turned_off(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            here.apps.terms = Terms(0, 0, 0)
            made = await here.deployer.create(
                await here.people.add_guest(1.0), "hello", tree(COUNTER), Origin("paste"), True
            )
            assert (made.app.temporary, made.app.expires_at, made.app.owner_kind) == (True, None, Kind.GUEST)
            await here.removal.delete(await here.operator(), made.app)
            await collection(here).tick(1e12, 0.0)
            assert await here.apps.by_id(made.app.id) is not None

    run(body())
