"""What of an app's past is kept, as its deploys go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from steadyd.terms import Terms
from tests.runner.conftest import HELLO, run, until, world
from tests.runner.test_deploy import refused


def test_old_versions_and_what_only_they_needed_go_with_a_deploy(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadyd.records.versions.LIVE_LAST_KEPT", 1)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            here.apps.terms = Terms(versions_kept=2)
            made = [await here.create({"index.ts": HELLO, "n.txt": "1"})]
            for number in range(2, 6):
                made.append(await here.deploy({"index.ts": HELLO, "n.txt": str(number)}, manner=Manner(trial=False)))
            app = await here.app()
            assert [version.number for version in await here.versions.all(app.id)] == [5, 4]
            assert (await refused(here.deployer.rollback(await here.operator(), app, 3))).code == "not_found"
            contents = [one.version.files[1].sha256 for one in made]
            assert [here.blobs.path(sha256).exists() for sha256 in contents] == [False, False, False, True, True]
            assert here.blobs.path(made[0].version.files[0].sha256).exists()
            assert await here.ask() == "hello"

    run(body())


def test_a_version_that_goes_while_a_rollback_waits_is_not_made_live(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            await here.deploy(HELLO.replace("hello", "two"), manner=Manner(trial=False))
            app, by = await here.app(), await here.operator()
            runtime = await here.fleet.add(app)
            async with runtime.operation:
                back = asyncio.create_task(here.deployer.rollback(by, app, 1))
                await until(lambda: "rollback" in {one.kind for one in here.workshop.operations._open.values()})
                await here.database.write(lambda db: db.execute("DELETE FROM versions WHERE number = 1"))
            assert (await refused(back)).code == "not_found"
            assert await here.ask() == "two"

    run(body())
