"""A draft runs beside what is live, on a copy of the data, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.records.apps import suspending
from steadyd.runner import lodging, scroll
from steadyd.runner import previews as room
from steadyd.runner.controller import RESUME, SUSPEND
from steadyd.runner.engine import Engine
from steadyd.runner.preview import Bounds, Preview
from steadyd.runner.previews import Wish
from tests.runner.conftest import (
    BOTH,
    HELLO,
    QUICK,
    World,
    alive,
    ask,
    limits,
    needs_cgroups,
    needs_root,
    run,
    until,
    world,
)

NOTES = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
const { STEADY_ENV, STEADY_URL, STEADY_VERSION } = process.env;
console.log("up");
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO notes VALUES ('x')");
    if (request.url.endsWith("/env")) return new Response([STEADY_ENV, STEADY_VERSION, STEADY_URL].join(" "));
    if (request.url.endsWith("/exit")) process.exit(3);
    const { count } = db.query("SELECT count(*) AS count FROM notes").get() as { count: number };
    return new Response(`live ${count}`);
  },
};
"""
DRAFT = NOTES.replace("live ", "draft ")


def draft(text: str, fresh: bool | None = None) -> Wish:
    return Wish({"index.ts": text.encode()}, True, fresh)


async def preview(here: World, text: str = DRAFT, fresh: bool | None = None) -> Preview:
    return await here.workshop.previews.start(await here.app(), draft(text, fresh))


async def told(here: World, shown: Preview, target: str = "/", method: str = "GET") -> str:
    status, body = await ask(here.previews[f"{shown.label}.localhost"], target, method)
    assert status == 200, body
    return body


def left(here: World, app: App) -> list[str]:
    scratch = here.fleet.ground.place(app).scratch
    return sorted(path.name for path in scratch.iterdir()) if scratch.exists() else []


def said(here: World, app: App) -> list[str]:
    """What the app's last preview said."""
    kept = here.workshop.previews.scrolls.of(app.id)
    assert kept is not None
    return [line.text for line in kept.tail(100)]


def contents(here: World) -> int:
    return sum(path.is_file() for path in (here.root / "blobs").rglob("*"))


@BOTH
def test_it_sees_a_copy_of_the_rows_and_the_live_ones_are_out_of_its_reach(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(NOTES)
            await here.ask(method="POST")
            kept, app = contents(here), await here.app()
            shown = await preview(here)
            assert await told(here, shown) == "draft 1"
            assert await told(here, shown, method="POST") == "draft 2"
            assert await here.ask() == "live 1"
            assert await told(here, shown, "/env") == f"preview 1 http://{shown.label}.localhost:8080"
            assert (shown.started.base_version, shown.started.fresh) == (1, True)
            assert [version.number for version in await here.versions.all(app.id)] == [1]
            assert contents(here) == kept, "no content stays that no version needs"
            assert "up" in said(here, app)
            assert all(line.version == 1 for line in await here.logs.tail(app.id, 100) if line.source == "app")
            await here.workshop.previews.end(app.id)
            assert (here.previews, left(here, app)) == ({}, [])
            assert await here.ask() == "live 1"

    run(body())


def test_the_next_draft_goes_on_with_the_copy_until_the_live_rows_change(root: Path, bun: Engine) -> None:
    """Its host name stays, whoever asks meanwhile waits, and `fresh` says otherwise."""

    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(NOTES)
            first = await preview(here)
            await told(here, first, method="POST")
            asking = asyncio.create_task(told(here, first))
            second = await preview(here, DRAFT.replace("draft", "second"))
            assert await asking in ("draft 1", "second 1")
            assert (second.label, second.started.fresh, await told(here, second)) == (first.label, False, "second 1")
            await preview(here, fresh=True)
            assert await told(here, first) == "draft 0"
            await told(here, first, method="POST")
            await here.ask(method="POST")
            await here.ask(method="POST")
            third = await preview(here)
            assert (third.started.fresh, await told(here, third)) == (True, "draft 2")
            assert len(left(here, await here.app())) == 1

    run(body())


def test_what_would_not_start_is_told_with_its_place_and_the_last_draft_goes_on(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(NOTES)
            shown = await preview(here)
            with pytest.raises(SteadyError) as refused:
                await preview(here, "export default {\n  fetch( => 1\n}\n")
            told_of = {key: refused.value.details[key] for key in ("step", "file", "line")}
            assert (refused.value.code, told_of) == ("deploy_failed", {"step": "check", "file": "index.ts", "line": 2})
            assert await told(here, shown) == "draft 0"
            with pytest.raises(SteadyError) as refused:
                await preview(here, "console.log('before');\n\nthrow new Error('no way');\n")
            assert refused.value.code == "deploy_failed"
            assert (refused.value.details["step"], refused.value.details["line"]) == ("start", 3)
            assert "before" in refused.value.details["logs"]
            assert (here.previews, left(here, await here.app())) == ({}, [])
            with pytest.raises(SteadyError, match="no such file"):
                await here.workshop.previews.start(await here.app(), Wish({"gone.ts": None}, True))
            assert await here.ask() == "live 0"

    run(body())


def test_one_that_never_listens_is_given_up(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, timing=replace(QUICK, start_seconds=1.5)) as here:
            await here.create(HELLO)
            with pytest.raises(SteadyError, match=r"did not listen within 1\.5 s"):
                await preview(here, "setInterval(() => {}, 1000);\n")
            assert (here.previews, left(here, await here.app())) == ({}, [])

    run(body())


def test_one_that_dies_says_so_and_ends_in_time(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(NOTES)
            here.workshop.previews.bounds = Bounds(idle_seconds=0.5)
            shown = await preview(here)
            with pytest.raises((OSError, ValueError, IndexError)):  # its connection breaks
                await told(here, shown, "/exit")
            await until(lambda: shown.death, "the death")
            with pytest.raises(SteadyError, match=r"The draft does not run: it ended with exit code 3\."):
                await told(here, shown)
            await until(lambda: not here.previews, "the end")
            await until(lambda: left(here, shown.app) == [], "the folder's end")

    run(body())


def test_it_ends_when_nobody_asks_it_and_after_a_while_in_any_case(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(NOTES)
            app = await here.app()
            for bounds in (Bounds(idle_seconds=0.3), Bounds(life_seconds=0.3)):
                here.workshop.previews.bounds = bounds
                await preview(here)
                await until(lambda: "Nobody looked at it" in said(here, app)[-1], "its end")
                assert here.previews == {}

    run(body())


def test_where_memory_is_short_the_one_that_rested_longest_ends(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            previews = here.workshop.previews
            for name in ("one", "two"):
                await here.create(HELLO, name)
                await previews.start(await here.app(name), draft(HELLO))
            assert here.fleet.on_short == previews.relieve
            here.fleet.on_short()
            one = await here.app("one")
            await until(lambda: "short of memory" in said(here, one)[-1], "its end")
            assert [shown.name for shown in here.previews.values()] == ["two"]

    run(body())


def test_so_many_at_once_and_so_many_of_one_owner(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            for name in ("one", "two"):
                await here.create(HELLO, name)
            previews = here.workshop.previews
            await previews.start(await here.app("one"), draft(HELLO))
            for limit in ("PREVIEWS_MAX", "PREVIEWS_PER_OWNER_MAX"):
                with monkeypatch.context() as patched:
                    patched.setattr(room, limit, 1)
                    with pytest.raises(SteadyError) as refused:
                        await previews.start(await here.app("two"), draft(HELLO))
                    assert refused.value.code == "overloaded"
                    await previews.start(await here.app("one"), draft(HELLO))
            monkeypatch.setattr(scroll, "SCROLLS_MAX", 1)
            await previews.start(await here.app("two"), draft(HELLO))
            assert previews.scrolls.of((await here.app("one")).id) is None

    run(body())


def test_one_start_at_a_time_and_it_can_be_ended(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(HELLO)
            app = await here.app()
            starting = asyncio.create_task(preview(here, "await Bun.sleep(30_000);\n" + HELLO))
            await until(lambda: here.previews, "its folder")
            with pytest.raises(SteadyError) as refused:
                await preview(here)
            assert refused.value.code == "conflict"
            await here.workshop.previews.end(app.id)
            with pytest.raises(SteadyError) as refused:
                await starting
            assert refused.value.code == "cancelled"
            assert (here.previews, left(here, app), len(here.fleet.ground.starter.running)) == ({}, [], 1)

    run(body())


def test_an_operation_that_goes_on_is_waited_for_so_long(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(HELLO)
            monkeypatch.setattr(lodging, "TURN_SECONDS_MAX", 0.1)
            async with here.fleet.turn(await here.app()):
                with pytest.raises(SteadyError, match="Something is being done"):
                    await preview(here)

    run(body())


def test_it_goes_with_its_app(root: Path, bun: Engine) -> None:
    """When that gets another name, is suspended, or is deleted."""

    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(HELLO)
            await preview(here)
            by = await here.operator()
            await here.workshop.identity.rename(by, await here.app(), "other")
            await until(lambda: not here.previews, "the end with the name")
            app = await here.app("other")
            previews = here.workshop.previews
            await previews.start(app, draft(HELLO))
            await here.controller.suspension(by, app, SUSPEND, suspending(app.id, "Spam."))
            await until(lambda: not here.previews, "the end with the suspension")
            with pytest.raises(SteadyError, match="is suspended: Spam"):
                await previews.start(app, draft(HELLO))
            await here.controller.suspension(by, app, RESUME, suspending(app.id, None))
            await previews.start(app, draft(HELLO))
            await here.removal.delete(by, app)
            assert (here.previews, left(here, app)) == ({}, [])

    run(body())


def test_a_deploy_leaves_it_alone_and_its_dependencies_too(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(NOTES)
            shown = await preview(here)
            await here.deploy(NOTES.replace("live ", "new "))
            assert (await here.ask(), await told(here, shown)) == ("new 0", "draft 0")

    run(body())


def test_nothing_is_left_by_a_daemon_that_was_killed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(HELLO)
            app = await here.app()
            remains = here.fleet.ground.place(app).scratch / "preview-0123"
            remains.mkdir(parents=True)
        async with world(root, bun) as here:
            assert (left(here, app), await here.ask()) == ([], "hello")

    run(body())


@needs_root
@needs_cgroups
@pytest.mark.sandbox
def test_one_that_forks_without_end_is_held_and_goes_whole(root: Path, bun: Engine) -> None:
    bomb = "const word = 'sleep';\n" + DRAFT.replace(
        "process.exit(3)",
        """for (let at = 0; at < 500; at++) try { Bun.spawn(["/bin/sleep", "1234567"]); } catch { break; }""",
    )

    async def body() -> None:
        async with limits() as more, world(root, bun, **more) as here:
            await here.create(NOTES)
            shown = await preview(here, bomb)
            with contextlib.suppress(OSError, ValueError, IndexError, SteadyError):
                await told(here, shown, "/exit")
            assert 0 < len(alive("1234567")) <= shown.app.limits.processes
            assert await here.ask() == "live 0"
            await here.workshop.previews.end(shown.app.id)
            await until(lambda: alive("1234567") == [], "the end of what the kernel was told to end")

    run(body())


@needs_root
@needs_cgroups
@pytest.mark.sandbox
def test_it_has_the_app_s_limits(root: Path, bun: Engine) -> None:
    """A draft that takes all memory is ended by its own limit, and says so; the live version answers on."""
    greedy = "const all: Uint8Array[] = [];\n" + DRAFT.replace(
        "process.exit(3)", "for (;;) all.push(new Uint8Array(16 << 20).fill(1))"
    )

    async def body() -> None:
        async with limits() as more, world(root, bun, **more) as here:
            await here.create(NOTES)
            shown = await preview(here, greedy)
            with pytest.raises((OSError, ValueError, IndexError)):  # its connection breaks
                await told(here, shown, "/exit")
            await until(lambda: shown.death, "the death")
            assert "memory" in shown.death
            assert await here.ask() == "live 0"

    run(body())
