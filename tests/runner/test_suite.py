"""An app's own tests, as a part of its trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import suite
from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from tests.runner.conftest import BOTH, HELLO, WRITES, World, run, world

TESTS = """
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
test("the copy is there, and mine", () => {
  const db = new Database("data.sqlite");
  expect(db.query("SELECT count(*) AS count FROM notes").get()).toEqual({ count: ROWS });
  db.run("DELETE FROM notes");
  expect(process.env.STEADY_ENV).toBe("trial");
});
"""
ASKED = json.dumps({"trial": {"test": True}})


async def refused(here: World, files: dict[str, str], test: bool = False) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await here.deploy(files, manner=Manner(test=test))
    assert (caught.value.code, caught.value.details["step"]) == ("deploy_failed", "trial")
    return caught.value


@BOTH
def test_they_run_on_a_copy_of_their_own_if_asked(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(WRITES)
            await here.ask(method="POST")
            files = {"index.ts": WRITES, "data.test.ts": TESTS.replace("ROWS", "1")}
            await here.deploy({**files, "data.test.ts": "throw new Error('not asked for')"})
            await here.deploy({**files, "steady.json": ASKED})
            await here.deploy(files, manner=Manner(test=True))
            assert json.loads(await here.ask()) == {"count": 1}, "the live rows are not theirs"
            failing = {**files, "data.test.ts": TESTS.replace("ROWS", "7")}
            error = await refused(here, {**failing, "steady.json": ASKED})
            assert "“bun test” ended with exit code 1" in error.details["reason"]
            assert any("count" in line for line in error.details["logs"])
            assert json.loads(await here.ask()) == {"count": 1}
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


@BOTH
def test_the_script_of_the_package_goes_first(root: Path, bun: Engine, sandboxed: bool) -> None:
    package = json.dumps(
        {"scripts": {"test": "echo my own; bun --version; exit 3"}, "steady": {"trial": {"test": True}}}
    )

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            error = await refused(here, {"index.ts": HELLO, "package.json": package})
            assert "“bun run test” ended with" in error.details["reason"]
            assert {"my own", bun.bun_version} <= set(error.details["logs"])

    run(body())


def test_they_have_so_much_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "SUITE_SECONDS_MAX", 0.5)
    slow = 'import { test } from "bun:test"; test("waits", () => new Promise(() => {}), 60_000);'

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            error = await refused(here, {"index.ts": HELLO, "a.test.ts": slow}, test=True)
            assert error.details["reason"] == "“bun test” did not end within 0.5 s."

    run(body())
