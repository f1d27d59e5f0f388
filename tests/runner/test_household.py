"""One guest's apps share what a guest may hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Limits, Origin
from steadyd.runner.engine import Engine
from steadyd.runner.household import Household, watched
from steadyd.runner.process import spawn
from steadyd.runner.quota import Quota
from steadyd.settings import Policy
from tests.runner.conftest import HELLO, World, run, tree, until, world

MIB = 1 << 20
GREEDY = """
export default {
  async fetch(request: Request) {
    const mib = Number(new URL(request.url).searchParams.get("mib") ?? 0);
    if (mib) await Bun.write("data/large", crypto.getRandomValues(new Uint8Array(1 << 16)).toHex().repeat(8 * mib));
    return new Response("wrote");
  },
};
"""


def small(here: World, mib: int) -> Household:
    """A guest has so much on this host."""
    here.apps.policy = Policy(guest_limits=Limits(memory_bytes=128 << 20, disk_bytes=mib * MIB))
    return Household(here.fleet.ground, Quota(here.root / "apps", spawn, lambda: watched(here.fleet)))


def test_a_guest_may_add_what_all_their_apps_leave(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            household = small(here, 8)
            guest = await here.people.add_guest(1.0)
            made = await here.deployer.create(guest, "one", tree(GREEDY), Origin("paste"), True)
            await here.ask("/?mib=4", name="one")
            assert await household.written(guest) == 0, "what runs is the quota's to look at, within a second"
            await here.controller.stop(guest, made.app, hold=False)
            await household.check_room(guest, [b"x" * MIB])
            assert await household.written(guest) > 4 * MIB
            with pytest.raises(SteadyError) as caught:
                await household.check_room(guest, [b"x" * (4 * MIB)])
            assert caught.value.code == "disk_full"
            assert caught.value.details["limit"] == 8 * MIB
            assert "purge=1" in caught.value.message
            assert "sign up" in caught.value.message
            await household.check_room(guest, [GREEDY.encode()])  # nothing new
            await household.check_room(await here.operator(), [b"x" * (20 * MIB)])
            await here.removal.delete(guest, made.app)
            with pytest.raises(SteadyError):
                await household.check_room(guest, [b"x" * (4 * MIB)])
            await here.removal.purge(guest, made.app)
            await household.check_room(guest, [b"x" * (4 * MIB)])

    run(body())


def test_a_running_app_may_write_what_its_guest_s_other_apps_leave(root: Path, bun: Engine) -> None:
    """L262: the one that writes too much is stopped, the other one goes on; the operator's is not concerned."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            small(here, 24)
            guest = await here.people.add_guest(1.0)
            for name in ("one", "two"):
                await here.deployer.create(guest, name, tree(GREEDY), Origin("paste"), True)
            await here.create(HELLO, "other")
            await here.ask("/?mib=14", name="one")
            await here.controller.stop(guest, await here.app("one"), hold=False)
            quota = Quota(here.root / "apps", spawn, lambda: watched(here.fleet))
            loop = asyncio.create_task(quota.run())
            await here.ask(name="two")
            places = here.fleet.places(guest.id).values()
            assert len(places) == 2
            await until(lambda: all(quota.used(place.app) for place in places), "a first look at both")
            await here.ask("/?mib=14", name="two")
            two = (await here.app("two")).id
            await until(lambda: "death" in [event.kind for app_id, event in here.heard if app_id == two], "the stop")
            loop.cancel()
            told = [event for app_id, event in here.heard if (app_id, event.kind) == (two, "death")]
            assert told[0].details["cause"] == "disk"
            assert "A guest's apps may hold 24 MiB together" in told[0].message
            assert await here.ask(name="other") == "hello"

    run(body())
