"""A version that fails right after it went live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.model import AppState, Deploy
from steadyd.runner import lifecycle, retreat
from steadyd.runner.deploy import RETREAT, Manner
from steadyd.runner.engine import Engine
from steadyd.runner.retreat import RECENT_SECONDS_MAX, Retreat
from steadyd.settings import change
from steadyd.variables import PRODUCTION, Value, change_in
from tests.runner.conftest import World, run, until, world

# Answers its trial, and the world until it is asked to die; whatever starts in its folder afterwards does not come up.
ONCE = """
import { Database } from "bun:sqlite";
import { existsSync, writeFileSync } from "node:fs";
if (existsSync("ran")) throw new Error("no such column");
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS visits (version INTEGER)");
db.run("INSERT INTO visits VALUES (2)");
writeFileSync("ran", "");
export default { fetch(request) { if (request.url.endsWith("/die")) process.exit(1); return new Response("two"); } };
"""
FINE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS visits (version INTEGER)");
const count = () => db.query("SELECT count(*) AS n FROM visits").get().n;
export default { fetch: () => new Response(`one ${process.env.COLOUR} ${count()}`) };
"""


def deploy(number: int, version: int, kind: str = "deploy", status: str = "live", at: float = 0.0) -> Deploy:
    return Deploy(number, "a", version, kind, status, (), at, at, "")


def colour(name: str) -> Manner:
    return Manner(True, change_in(PRODUCTION, {"COLOUR": Value(name)}))


def test_one_goes_back_to_what_was_live_before_and_soon_after_or_not_at_all() -> None:
    two, one = deploy(2, 2, at=100.0), deploy(1, 1, "create")
    assert retreat.retreat([two, one], 130.0) == Retreat(2, 1, 30.0)
    assert retreat.retreat([two, one], 101.0 + RECENT_SECONDS_MAX) is None
    assert retreat.retreat([one], 1.0) is None
    assert retreat.retreat([], 1.0) is None
    failed = deploy(3, 3, status="failed", at=101.0)
    assert retreat.retreat([failed, two, one], 130.0) == Retreat(2, 1, 30.0)
    again = deploy(3, 2, "rollback", at=120.0)
    assert retreat.retreat([again, two, one], 130.0) == Retreat(2, 1, 10.0)


@pytest.mark.parametrize("status", ["live", "failed", "running"])
def test_once_is_enough(status: str) -> None:
    back = deploy(3, 1, RETREAT, status, at=101.0)
    assert retreat.retreat([back, deploy(2, 2, at=100.0), deploy(1, 1)], 110.0) is None
    later = deploy(4, 4, at=105.0)
    assert retreat.retreat([later, replace(back, status="live"), deploy(1, 1)], 110.0) == Retreat(4, 1, 5.0)


async def given_up(here: World) -> None:
    """Ask for its death, and wait until it is not started any more."""
    with pytest.raises((ConnectionError, IndexError)):  # no answer
        await here.ask("/die")
    await until(lambda: "failed" in [event.kind for _, event in here.heard], "the app to fail")


async def kinds(here: World) -> list[tuple[str, int, str]]:
    deploys = await here.journal.deploys((await here.app()).id)
    return [(found.kind, found.version, found.status) for found in deploys]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "STARTS_MAX", 2)


@pytest.mark.usefixtures("quick")
def test_code_and_variables_go_back_and_the_data_stays(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(FINE, manner=colour("red"))
            await here.deploy(ONCE, manner=colour("blue"))
            await given_up(here)
            await until(lambda: RETREAT in [event.kind for _, event in here.heard], "the former version")
            assert await here.ask() == "one red 1"
            assert await kinds(here) == [(RETREAT, 1, "live"), ("deploy", 2, "live"), ("create", 1, "live")]
            [said] = [event.message for _, event in here.heard if event.kind == RETREAT]
            assert said.startswith("Version 1 is live: version 2 was not started any more ")
            [operation] = [found for found in await here.journal.operations() if found.kind == RETREAT]
            assert (operation.outcome, operation.principal_id) == ("done", (await here.operator()).id)

    run(body())


@pytest.mark.usefixtures("quick")
def test_who_does_not_want_it_stays_with_what_failed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(FINE)
            await here.deploy({"index.ts": ONCE, "steady.json": '{"auto_rollback": false}'})
            await given_up(here)
            await here.workshop.operations.close()
            assert (await here.app()).version == 2
            await here.workshop.controller.settle(
                await here.operator(), await here.app(), lambda chosen: change(chosen, {"auto_rollback": True})
            )
            here.fleet.on_failed((await here.app()).id)
            await until(lambda: RETREAT in [event.kind for _, event in here.heard], "the former version")
            assert (await here.app()).version == 1

    run(body())


@pytest.mark.usefixtures("quick")
def test_a_former_version_that_fails_too_is_not_left_for_another(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(FINE)
            await here.deploy('import { existsSync } from "node:fs";\nif (existsSync("ran")) throw 1;\n' + FINE)
            await here.deploy(ONCE)
            await given_up(here)
            await until(lambda: "deploy_failed" in [event.kind for _, event in here.heard], "the end of the retreat")
            await here.workshop.operations.close()
            assert (await kinds(here))[0] == (RETREAT, 2, "failed")
            assert (await here.app()).version == 3
            here.heard.clear()
            runtime = here.fleet.runtime((await here.app()).id)
            assert runtime is not None
            with pytest.raises(Exception, match="keeps failing"):
                await here.ask()
            await until(lambda: runtime.state is AppState.FAILED, "its end")
            await here.workshop.operations.close()
            assert (await kinds(here))[0] == (RETREAT, 2, "failed")
            assert len(await kinds(here)) == 4

    run(body())
