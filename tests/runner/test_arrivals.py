"""An app from one file: what comes along, what is lowered, and that nothing is left of one that fails."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steadyd.appfile import AppFile, Manifest
from steadyd.errors import SteadyError
from steadyd.model import Choices, Cron, Limits
from steadyd.records.apps import choosing
from steadyd.records.crons import putting
from steadyd.runner.arrivals import Arrival
from steadyd.runner.deploy import Deployed
from steadyd.runner.engine import Engine
from steadyd.tree import DEFAULT_LIMITS
from steadyd.variables import Value, change_in
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, run, world

PACKAGE = '{"steady": {"crons": [{"id": "tick", "schedule": "@hourly", "path": "/"}]}}'


async def packed(here: World, data: bool = True, name: str = "hello") -> io.BytesIO:
    app = await here.app(name)
    async with here.workshop.archives.of(await here.operator(), app, data) as (_, pieces):
        return io.BytesIO(b"".join([piece async for piece in pieces]))


async def arrive(here: World, file: io.BytesIO, name: str = "again", by: Any = None) -> Deployed:
    manifest = AppFile(file, DEFAULT_LIMITS).manifest
    arrival = Arrival(by or await here.operator(), manifest, file)
    return await here.workshop.arrivals.create(arrival, name, False)


@asynccontextmanager
async def two(root: Path, bun: Engine, sandboxed: bool = False) -> AsyncIterator[tuple[World, World]]:
    """Two hosts."""
    for name in ("one", "two"):
        (root / name).mkdir(mode=0o711)
    async with world(root / "one", bun, sandboxed) as one, world(root / "two", bun, sandboxed) as other:
        yield one, other


@BOTH
def test_an_app_moves_with_its_history_and_its_data(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with two(root, bun, sandboxed) as (one, other):
            await one.create({"index.ts": COUNTER, "old.txt": "old"})
            await one.deploy({"index.ts": COUNTER, "package.json": PACKAGE})
            await one.deploy({"index.ts": HELLO})
            await one.deployer.rollback(await one.operator(), await one.app(), 2)
            for _ in range(3):
                await one.ask(method="POST")
            folder = one.fleet.ground.place(await one.app()).app
            (folder / "up").mkdir()
            (folder / "up/load.bin").write_bytes(bytes(range(256)))
            before = await one.ask()
            file = await packed(one)
            await one.ask(method="POST")
            deployed = await arrive(other, file)
            assert deployed.app.version == 2
            assert await other.ask(name="again") == before
            place = other.fleet.ground.place(deployed.app)
            assert (place.app / "up/load.bin").read_bytes() == bytes(range(256))
            assert place.uid is None or (place.app / "up/load.bin").stat().st_uid == place.uid
            was, now = await one.versions.all((await one.app()).id), await other.versions.all(deployed.app.id)
            assert [version.number for version in now] == [3, 2, 1]
            for old, new in zip(was, now, strict=True):
                assert (new.entry, new.origin, new.bun) == (old.entry, old.origin, old.bun)
                assert abs(new.created_at - old.created_at) < 0.001
            await other.deployer.rollback(await other.operator(), deployed.app, 1)
            assert (place.app / "old.txt").read_text() == "old"
            jobs = await other.library.crons.of(deployed.app.id)
            assert jobs == []
            await other.deployer.rollback(await other.operator(), deployed.app, 2)
            assert [(job.cron.id, job.enabled) for job in await other.library.crons.of(deployed.app.id)] == [
                ("tick", False)
            ]
            assert list(one.fleet.ground.place(await one.app()).scratch.iterdir()) == []

    run(body())


def test_what_is_set_comes_along_without_values(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with two(root, bun) as (one, other):
            await one.create(HELLO)
            app = await one.app()
            change = change_in("production", {"TOKEN": Value("s3cr3t"), "PLAIN": Value("also", False)})
            chosen = Choices(memory_bytes=512 << 20, idle_seconds=30.0, notify="https://example.com/hook")
            await one.apps.write(
                one.library.environment.change(app.id, change, await one.operator(), 1.0),
                choosing(app.id, lambda _: chosen),
                putting(app.id, Cron("mine", "@daily", path="/x", method="GET"), True, 50),
            )
            file = await packed(one, data=False)
            assert b"s3cr3t" not in file.getvalue()
            other.apps.policy = replace(other.apps.policy, ceilings=Limits(300 << 20, 0, 0, 0))
            deployed = await arrive(other, file)
            settings = deployed.app.settings
            assert (settings.limits.memory_bytes, settings.idle_seconds, settings.notify) == (300 << 20, 30.0, "")
            assert any("“memory” is 300MiB here, not 512MiB" in note for note in deployed.notes), deployed.notes
            blanks = await other.library.blanks.of(deployed.app.id)
            assert {name: blank.secret for name, blank in blanks.items()} == {"PLAIN": False, "TOKEN": True}
            (job,) = await other.library.crons.of(deployed.app.id)
            assert (job.cron.id, job.cron.method, job.enabled, job.made) == ("mine", "GET", False, True)
            assert any("Its crons are off: mine" in note for note in deployed.notes)

    run(body())


def test_nothing_is_left_of_what_does_not_arrive(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with two(root, bun) as (one, other):
            await one.create(COUNTER)
            await one.ask(method="POST")
            file = await packed(one)
            broken = io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2])
            await one.create("process.exit(3);" if False else HELLO, name="other")

            async def fails(code: str, sent: io.BytesIO = file, name: str = "again") -> None:
                with pytest.raises(SteadyError) as caught:
                    await arrive(other, sent, name)
                assert caught.value.code == code, caught.value
                assert await other.apps.everything() == []
                assert list((root / "two/apps").iterdir()) == []
                assert [path for path in (root / "two/blobs").rglob("*") if path.is_file()] == []

            await fails("invalid_archive", broken)
            await fails("invalid_name", name="no name")
            small = replace(other.apps.policy, limits=replace(other.apps.policy.limits, disk_bytes=4096))
            generous, other.apps.policy = other.apps.policy, small
            await fails("too_large")
            other.apps.policy = generous
            assert (await arrive(other, file)).app.version == 1

    run(body())


def test_a_damaged_database_arrives_as_it_is(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with two(root, bun) as (one, other):
            await one.create(HELLO)
            place = one.fleet.ground.place(await one.app())
            folder = place.app
            with closing(sqlite3.connect(folder / "good.db")) as db:
                db.execute("CREATE TABLE t (a)")
            (folder / "bad.db").write_bytes(b"SQLite format 3\0" + b"\x10\0\2\2" + b"\xff" * 3000)
            for path in folder.glob("*.db"):
                os.chown(path, place.uid or -1, -1)
            file = await packed(one)
            manifest: Manifest = AppFile(file, DEFAULT_LIMITS).manifest
            assert manifest.data is not None
            dated = {kept.path: kept.at is not None for kept in manifest.data.files}
            assert dated == {"bad.db": False, "good.db": True}
            assert list(manifest.data.left_out) == ["bad.db"]
            place = other.fleet.ground.place((await arrive(other, file)).app)
            assert (place.app / "bad.db").read_bytes() == (folder / "bad.db").read_bytes()

    run(body())


HONO = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("%s"));\n'


@pytest.mark.network
@pytest.mark.sandbox
def test_dependencies_are_those_of_each_version_s_lock(root: Path, bun: Engine) -> None:
    """The live version's are there at once, an older one's when somebody goes back to it."""

    async def body() -> None:
        async with two(root, bun, sandboxed=True) as (one, other):
            await one.create({"index.ts": HONO % "one"})
            await one.deploy({"index.ts": HONO % "two", "package.json": '{"dependencies": {"hono": "4.6.0"}}'})
            file = await packed(one, data=False)
            deployed = await arrive(other, file)
            assert await other.ask(name="again") == "two"
            was, now = await one.versions.all((await one.app()).id), await other.versions.all(deployed.app.id)
            assert [version.modules for version in now] == [version.modules for version in was]
            await other.deployer.rollback(await other.operator(), deployed.app, 1)
            assert await other.ask(name="again") == "one"

    run(body())
