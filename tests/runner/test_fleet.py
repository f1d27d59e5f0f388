from __future__ import annotations

import asyncio
import functools
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState, Choices, Network, Settings
from steadyd.runner import fleet
from steadyd.runner.app import Timing
from steadyd.runner.engine import Engine
from steadyd.runner.networks import Networks
from steadyd.runner.plumbing import Plumbing
from steadyd.runner.process import spawn
from tests.runner.conftest import DEADLINE_SECONDS, HELLO, World, limits, needs_cgroups, run, until, world

FAST = Timing(start_seconds=10.0, hold_seconds=5.0, drain_seconds=0.2, grace_seconds=0.2)

GROWING = """
let held: Uint8Array | undefined;
export default { fetch(request: Request) {
  if (!request.url.endsWith("/grow")) return new Response("hello");
  held = new Uint8Array(100 << 20).fill(1);
  return new Response("grown");
} };
"""


async def state(here: World, name: str = "hello") -> str:
    return str(here.fleet.state(await here.app(name)))


async def kinds(here: World) -> list[str]:
    return [event.kind for _, event in await here.journal.events((await here.app()).id)]


async def remembered(here: World, last: list[str]) -> None:
    """Return when the newest events are these: they are written beside what they tell of."""
    for _ in range(1_000):
        if (await kinds(here))[-len(last) :] == last:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"not remembered: {last}")


def test_every_name_leads_to_its_app(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.create(HELLO, name="other")
            app = await here.app()
            await here.database.write(
                lambda db: db.execute("INSERT INTO hostnames VALUES ('www.example.com', ?)", (app.id,))
            )
            await here.fleet.publish_routes()
            assert set(here.routes) == {"hello.localhost", "other.localhost", "www.example.com"}
            assert here.routes["www.example.com"] is here.routes["hello.localhost"]

    run(body())


def test_after_a_start_nothing_runs_until_it_is_wanted_and_its_folder_is_made_whole(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create({"index.ts": 'export { default } from "./app";\n', "app.ts": HELLO})
            folder = here.fleet.ground.place(await here.app()).app
        (folder / "app.ts").unlink()
        async with world(root, bun, sandboxed=False) as here:
            assert await state(here) == "stopped"
            assert list(here.sockets.iterdir()) == []
            assert await here.ask() == "hello"
            assert (await state(here), (folder / "app.ts").read_text()) == ("running", HELLO)

    run(body())


def test_a_hold_outlives_the_daemon_and_a_start_ends_it(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.controller.stop(await here.operator(), await here.app(), hold=True)
        async with world(root, bun, sandboxed=False) as here:
            assert await state(here) == "held"
            with pytest.raises(SteadyError, match="held"):
                await here.ask()
            await here.controller.start(await here.operator(), await here.app())
            assert (await here.ask(), (await here.app()).held) == ("hello", False)

    run(body())


def test_stop_start_and_restart(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False, timing=FAST) as here:
            await here.create("export default { fetch: () => new Response(String(process.pid)) };")
            first, app = await here.ask(), await here.app()
            await here.controller.stop(await here.operator(), app, hold=False)
            assert await state(here) == "stopped"
            await here.controller.start(await here.operator(), app)
            second = await here.ask()
            asked = [asyncio.create_task(here.ask()) for _ in range(20)]
            await here.controller.restart(await here.operator(), app)
            third = await here.ask()
            assert len({first, second, third}) == 3
            assert {await task for task in asked} <= {second, third}, "no request is lost"
            await here.controller.stop(await here.operator(), app, hold=True)
            await here.controller.restart(await here.operator(), app)
            assert await state(here) == "running"

    run(body())


def test_an_app_that_fails_tells_its_owner_why_and_is_remembered(root: Path, bun: Engine) -> None:
    async def body() -> None:
        code = 'import { existsSync } from "node:fs";\nif (existsSync("broken")) throw new Error("it is broken");\n'
        async with world(root, bun, sandboxed=False) as here:
            await here.create(code + HELLO)
            app = await here.app()
            await here.controller.stop(await here.operator(), app, hold=False)
            (here.fleet.ground.place(app).app / "broken").touch()
            with pytest.raises(SteadyError) as caught:
                await here.controller.start(await here.operator(), app)
            assert caught.value.code == "app_failed"
            assert "it is broken" in caught.value.details["reason"]
            card = await here.fleet.last_death(app.id)
            assert card is not None, "whoever is told finds it"
            await remembered(here, ["death"])
            assert card == await here.fleet.ground.library.deaths.last(app.id) == await here.fleet.last_death(app.id)
            assert (card.cause, card.exit_code, card.version) == ("exit", 1, 1)
            said = [line.text for line in await here.logs.tail(app.id, 100) if line.source == "steadyd"]
            assert any("it is broken" in line for line in said)
            await here.controller.stop(await here.operator(), app, hold=False)

    run(body())


def test_what_happens_is_told_to_followers_and_remembered(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            following = here.fleet.events.subscribe(app.id)
            await here.controller.restart(await here.operator(), app)
            told = [await anext(following) for _ in range(6)]
            assert [event.details.get("state", event.kind) for event in told] == [
                "begun", "sleep", "done", "begun", "wake", "done",
            ]  # fmt: skip
            await remembered(here, ["sleep", "wake"])
            assert [(app_id, event.kind) for app_id, event in here.heard][-2:] == [(app.id, "sleep"), (app.id, "wake")]

    run(body())


def test_usage_is_of_the_instance_and_requests_since_the_start(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            for _ in range(3):
                await here.ask()
            usage = here.fleet.usage(app.id)
            assert usage.memory_bytes > 10 << 20
            assert usage.requests == 3
            await here.controller.stop(await here.operator(), app, hold=False)
            assert here.fleet.usage(app.id) == fleet.Usage(0, 0.0, 3)
            assert here.fleet.usage("nobody") == fleet.Usage(0, 0.0, 0)

    run(body())


def test_what_has_no_live_version_cannot_be_started(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            app = await here.apps.create("empty", await here.operator(), False, 1.0)
            assert here.fleet.state(app) is AppState.STOPPED
            for work in (
                here.controller.start(await here.operator(), app),
                here.controller.restart(await here.operator(), app),
                here.controller.stop(await here.operator(), app, hold=False),
            ):
                with pytest.raises(SteadyError) as caught:
                    await work
                assert caught.value.code == "conflict"
            await here.apps.remove(app.id, 1.0)

    run(body())


def test_idle_apps_go_to_sleep_by_themselves(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "TICK_SECONDS", 0.01)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            ticking = asyncio.create_task(here.fleet.run())
            here.routes["hello.localhost"].settings = Settings(idle_seconds=0.05)
            await until(lambda: here.routes["hello.localhost"].state is AppState.STOPPED, "its sleep")
            assert await here.ask() == "hello"
            ticking.cancel()

    run(body())


def test_a_stop_ends_every_app_a_few_at_a_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "STOPS_AT_ONCE_MAX", 2)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            names = ["one", "two", "three", "four", "five"]
            for name in names:
                await here.create(HELLO, name=name)
            await here.fleet.close()
            assert [await state(here, name) for name in names] == ["stopped"] * 5
            assert list(here.sockets.iterdir()) == []

    run(body())


def test_settings_change_under_load_and_no_request_is_lost(root: Path, bun: Engine) -> None:
    """Limits and sleep at once, another network by a swap; every request of ten visitors is answered."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app, runtime = await here.app(), here.routes["hello.localhost"]
            over, heard = asyncio.Event(), asyncio.Event()
            answers: list[str] = []

            async def visitor() -> None:
                while not over.is_set():
                    answers.append(await here.ask())
                    heard.set()

            visitors = [asyncio.create_task(visitor()) for _ in range(10)]
            for choices in (
                Choices(memory_bytes=64 << 20, cpus=0.5),
                Choices(idle_seconds=60.0, network=Network.NONE),
                Choices(),
            ):
                first = runtime.instance
                await here.controller.settle(await here.operator(), app, functools.partial(replace, **asdict(choices)))
                assert runtime.settings == (await here.app()).settings
                enough = len(answers) + 20
                while len(answers) < enough:
                    await asyncio.wait_for(heard.wait(), DEADLINE_SECONDS)
                    heard.clear()
                swapped = runtime.instance is not first
                assert swapped is (choices.network is Network.NONE or choices == Choices())
            over.set()
            await asyncio.gather(*visitors)
            assert set(answers) == {"hello"}
            assert runtime.settings == Settings()

    run(body())


def test_settings_of_a_sleeping_app_count_at_its_next_start(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            await here.controller.stop(await here.operator(), app, hold=True)
            await here.controller.settle(
                await here.operator(), app, lambda _: Choices(network=Network.NONE, idle_seconds=60.0)
            )
            assert await state(here) == "held"
            assert here.routes["hello.localhost"].settings.idle_seconds == 60.0

    run(body())


def test_a_running_app_can_be_read_with_what_it_sent(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.create(HELLO, name="asleep")
            await here.controller.stop(await here.operator(), await here.app("asleep"), hold=False)
            app, instance = await here.app(), here.routes["hello.localhost"].instance
            assert instance is not None
            networks = Networks(Plumbing(spawn, None), here.logs)
            networks._sent[app.id] = 4_711
            here.fleet.ground.starter.networks = networks
            readings = here.fleet.readings()
            assert list(readings) == [app.id]
            reading = await asyncio.to_thread(readings[app.id])
            assert reading is not None
            assert reading.memory_bytes > 10 << 20
            assert (reading.sent_bytes, reading.started_at) == (4_711, instance.started)

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_a_running_app_is_held_to_its_new_limits(root: Path, bun: Engine) -> None:
    """In its cgroup, the same instance; a fresh one where the old one already uses more memory."""

    async def body() -> None:
        async with limits() as more, world(root, bun, **more) as here:
            await here.create(GROWING)
            app, first = await here.app(), here.routes["hello.localhost"].instance
            assert first is not None
            assert first.group is not None
            await here.controller.settle(
                await here.operator(), app, lambda _: Choices(memory_bytes=200 << 20, cpus=0.5, processes=32)
            )
            assert here.routes["hello.localhost"].instance is first
            reading = await asyncio.to_thread(here.fleet.readings()[app.id])
            assert reading is not None
            assert 1 << 20 < reading.memory_bytes <= reading.memory_peak_bytes
            assert 1 < reading.processes <= 32
            assert reading.cpu_seconds > 0
            assert await here.ask("/grow") == "grown"
            await here.controller.settle(await here.operator(), app, lambda _: Choices(memory_bytes=64 << 20))
            assert await here.ask() == "hello"
            second = here.routes["hello.localhost"].instance
            assert second is not None
            assert second is not first
            gone = more["cgroups"].make("accounts", "gone")
            gone.remove()
            second.group, kept = gone, second.group
            assert await asyncio.to_thread(here.fleet.readings()[app.id]) is None, "it ends at this moment"
            second.group = kept

    run(body())


def test_a_guest_s_spent_amount_is_an_event_of_the_app(root: Path, bun: Engine) -> None:
    """From which a notice follows."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            ground, told = here.fleet.ground, []
            networks = ground.starter.networks = Networks(Plumbing(spawn, None), here.logs)
            other = fleet.Fleet(ground, lambda routes: None, lambda app_id, event: told.append((app_id, event)))
            app = await here.app()
            networks.on_spent(app.id, "No more until midnight.")
            await remembered(here, ["limit"])
            assert [(at, event.details) for at, event in told] == [(app.id, {"limit": "network"})]
            await other.close()

    run(body())
