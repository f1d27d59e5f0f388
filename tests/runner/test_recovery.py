"""Operations that a crash interrupts, and the next start."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import File, Version
from steadyd.records.journal import Journal
from steadyd.runner.engine import Engine
from tests.runner.conftest import COUNTER, World, run, world


class Crashing(Exception):
    """The machine stops here."""


CALLS = ("begin", "step", "begin_deploy", "finish_deploy", "finish")


@pytest.mark.parametrize("kind", ["create", "deploy", "purge"])
def test_what_a_crash_interrupts_is_as_before_or_done_after_the_next_start(
    kind: str, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4: stopped before the first, second, third … entry of the journal, until none is left."""
    number, crashed = 0, True
    while crashed:
        number += 1
        home = root / str(number)
        home.mkdir(mode=0o711)
        crashed = run(_crash(kind, home, bun, number, monkeypatch))
        run(_look(kind, home, bun))
    assert number > 1


async def _crash(kind: str, home: Path, bun: Engine, number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    count = 0

    def watched(call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def step(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count >= number:  # from then on nothing is written any more
                raise Crashing
            return await call(*arguments)

        return step

    async with world(home, bun, sandboxed=False) as here:
        if kind != "create":
            await here.create(COUNTER)
            await here.ask(method="POST")
        with monkeypatch.context() as patched:
            for name in CALLS:
                patched.setattr(Journal, name, watched(getattr(Journal, name)))
            patched.setattr(here.apps, "remove", watched(here.apps.remove))
            patched.setattr(here.apps, "set_live", watched(here.apps.set_live))
            patched.setattr(here.versions, "drop_never_live", watched(here.versions.drop_never_live))
            try:
                await _work(kind, here)
            except (Crashing, SteadyError):
                return True
    return False


async def _work(kind: str, here: World) -> None:
    if kind == "create":
        await here.create(COUNTER)
    elif kind == "deploy":
        await here.deploy(COUNTER.replace("VERSION = 1", "VERSION = 2"))
    else:
        await here.deployer.delete(await here.operator(), await here.app(), purge=True)


async def _look(kind: str, home: Path, bun: Engine) -> None:
    """After the next start: one of the two states, whole, and everything works."""
    async with world(home, bun, sandboxed=False) as here:
        assert await here.journal.unfinished() == []
        assert await here.rows("SELECT 1 FROM deploys WHERE status = 'running'") == []
        app = await here.apps.by_name("hello")
        if app is not None and app.deleted_at is not None:
            await here.deployer.undelete(await here.operator(), app)
        if app is None:
            assert kind in ("create", "purge")
            assert list((home / "apps").iterdir()) == []
            await here.create(COUNTER)
            return
        assert [row[0] for row in await here.rows("SELECT number FROM versions")] == list(range(1, app.version + 1))
        visits = 0 if kind == "create" else 1
        assert await here.ask() == f"{app.version} {visits}"
        scratch = here.fleet.ground.place(app).scratch
        assert not scratch.exists() or list(scratch.iterdir()) == []
        await here.deploy(COUNTER.replace("VERSION = 1", "VERSION = 9"))
        assert await here.ask() == f"9 {visits}"


@pytest.mark.network
@pytest.mark.sandbox
def test_old_versions_run_when_the_registry_is_gone(root: Path, bun: Engine) -> None:
    """After a restart and by a rollback, even where their installed dependencies were lost; what only a failed version
    wanted is not kept."""
    source = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("NUMBER"));\n'

    def kept() -> list[str]:
        return sorted(path.name for path in (root / "apps").glob("*/modules/*"))

    async def body() -> None:
        async with world(root, bun) as made:
            first = await made.create(source.replace("NUMBER", "one"))
            other = {"index.ts": source.replace("NUMBER", "two"), "package.json": '{"dependencies": {"hono": "4.0.0"}}'}
            second = await made.deploy(other)
            wanted = sorted([first.version.modules, second.version.modules])
            broken = {"index.ts": 'import "left-pad"; throw new Error("broken");'}
            with pytest.raises(SteadyError):
                await made.deploy(broken)
            assert kept() == wanted
        for modules in (root / "apps").glob("*/modules"):
            shutil.rmtree(modules)
        async with world(root, bun, registry=("registry.invalid", 443)) as made:
            assert await made.ask() == "two"
            assert kept() == [second.version.modules]
            await made.deployer.rollback(await made.operator(), await made.app(), 1)
            assert await made.ask() == "one"
            await made.deploy({**other, "index.ts": other["index.ts"].replace("two", "three"),
                               "bun.lock": await made.deployer.content(lock_of(second.version))})  # fmt: skip
            assert await made.ask() == "three"
            assert kept() == wanted

    run(body())


def lock_of(version: Version) -> File:
    return next(file for file in version.files if file.path == "bun.lock")
