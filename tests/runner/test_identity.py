"""An app's name and owner change under load, and its next instance knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState, Kind, Origin
from steadyd.runner.engine import Engine
from tests.runner.conftest import World, ask, run, tree, world

SAYS = """
const { STEADY_APP, STEADY_URL } = process.env;
let asked = 0;
export default { fetch: () => new Response(`${STEADY_APP} ${STEADY_URL} ${++asked}`) };
"""


async def asking(here: World, done: asyncio.Event) -> list[int]:
    """Statuses that one visitor sees who goes on asking the app itself, whatever it is called."""
    runtime = here.fleet.runtime((await here.app()).id)
    assert runtime is not None
    seen = []
    while not done.is_set():
        seen.append((await ask(runtime))[0])
        await asyncio.sleep(0)
    return seen


def test_a_rename_loses_no_request_and_the_next_instance_knows_its_name(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            done = asyncio.Event()
            visitors = [asyncio.create_task(asking(here, done)) for _ in range(4)]
            await asyncio.sleep(0.05)
            app = await here.workshop.identity.rename(await here.operator(), await here.app(), "other")
            done.set()
            assert {status for seen in await asyncio.gather(*visitors) for status in seen} == {200}
            assert (await here.ask(name="other")).startswith("other http://other.localhost:8080 ")
            assert set(here.routes) == {"other.localhost"}
            newest = (await here.journal.operations(app.id))[0]
            assert (newest.kind, newest.outcome) == ("rename", "done")

    run(body())


def test_a_sleeping_app_sleeps_on_and_wakes_with_its_new_name(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            by, app = await here.operator(), await here.app()
            await here.controller.stop(by, app, hold=False)
            await here.workshop.identity.rename(by, app, "other")
            app = await here.app("other")
            assert here.fleet.state(app) is AppState.STOPPED
            assert (await here.ask(name="other")).startswith("other ")
            await here.workshop.identity.rename(by, app, "hello")
            assert (await here.ask()).startswith("hello ")
            assert here.moved == {"other.localhost": "http://hello.localhost:8080"}

    run(body())


def test_a_taken_name_changes_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(SAYS)
            await here.create(SAYS, "other")
            with pytest.raises(SteadyError) as caught:
                await here.workshop.identity.rename(await here.operator(), await here.app(), "other")
            assert caught.value.code == "name_taken"
            assert (await here.ask()).startswith("hello ")
            assert (await here.ask(name="other")).startswith("other ")
            assert here.moved == {}

    run(body())


def test_a_claim_gives_an_account_s_limits_at_once(root: Path, bun: Engine) -> None:
    """The app goes on under its URL; its instance has the limits, the network and the class of its owner's."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            guest = await here.people.add_guest(1.0)
            await here.deployer.create(guest, "hello", tree(SAYS), Origin("paste"), True)
            before, to, done = await here.app(), await here.operator(), asyncio.Event()
            assert (before.limits.memory_bytes, before.temporary) == (128 << 20, True)
            visitor = asyncio.create_task(asking(here, done))
            await asyncio.sleep(0.05)
            after = await here.workshop.identity.claim(to, before)
            done.set()
            assert set(await visitor) == {200}
            assert (after.id, after.name, after.owner_id) == (before.id, "hello", to.id)
            assert (after.owner_kind, after.temporary, after.expires_at) == (Kind.OPERATOR, False, None)
            assert after.limits.memory_bytes == 256 << 20
            runtime = here.fleet.runtime(after.id)
            assert runtime is not None
            assert runtime.plan is not None
            assert (runtime.settings, runtime.plan.limits) == (after.settings, after.limits)
            assert (runtime.owner_id, runtime.plan.tier, runtime.plan.reach.guest) == (to.id, "accounts", False)

    run(body())


@pytest.mark.parametrize("expired", [False, True])
def test_a_claim_and_a_purge_at_once_leave_a_whole_app_or_none(root: Path, bun: Engine, expired: bool) -> None:
    """Whoever is first: the owner's purge does not reach what is somebody else's, and nothing half gone comes back."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            to, guest = await here.operator(), await here.people.add_guest(1.0)
            for turn in range(6):
                made = await here.deployer.create(guest, f"app-{turn}", tree(SAYS), Origin("paste"), True)
                if expired:
                    await here.removal.delete(guest, made.app)
                app = await here.app(f"app-{turn}")
                work = [here.removal.purge(guest, app), here.workshop.identity.claim(to, app)]
                ended = await asyncio.gather(*(work if turn % 2 else reversed(work)), return_exceptions=True)
                assert {type(end) for end in ended if isinstance(end, BaseException)} <= {SteadyError}
                now = await here.apps.by_id(app.id)
                if now is None:
                    assert not here.fleet.ground.place(app).root.exists()
                    assert f"app-{turn}.localhost" not in here.routes
                else:
                    assert (now.owner_id, now.deleted_at) == (to.id, None)
                    assert (await here.ask(name=now.name)).startswith(f"app-{turn} ")
            assert await here.journal.unfinished() == []

    run(body())


def test_who_lost_an_app_changes_it_no_more(root: Path, bun: Engine) -> None:
    """A deploy that waited for its turn while somebody claimed the app does not go live."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            guest = await here.people.add_guest(1.0)
            made = await here.deployer.create(guest, "hello", tree(SAYS), Origin("paste"), True)
            await here.workshop.identity.claim(await here.operator(), made.app)
            for work in (
                here.deployer.deploy(guest, made.app, tree(SAYS), Origin("paste")),
                here.removal.delete(guest, made.app),
                here.removal.purge(guest, made.app),
                here.workshop.identity.claim(guest, made.app),
                here.workshop.identity.rename(guest, made.app, "mine"),
            ):
                with pytest.raises(SteadyError, match="somebody else's by now"):
                    await work
            assert (await here.ask()).startswith("hello ")

    run(body())


def test_what_has_expired_can_be_claimed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            guest = await here.people.add_guest(1.0)
            made = await here.deployer.create(guest, "hello", tree(SAYS), Origin("paste"), True)
            await here.removal.delete(guest, made.app)
            assert here.routes == {}
            await here.workshop.identity.claim(await here.operator(), await here.app())
            assert (await here.ask()).startswith("hello ")

    run(body())
