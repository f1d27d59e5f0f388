from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Choices
from steadyd.records.apps import choosing
from steadyd.runner.engine import Engine
from tests.runner.conftest import BOTH, WRITES, World, run, world

TELLS = """
import { Database } from "bun:sqlite";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
const { count } = new Database("data.sqlite").query("SELECT count(*) AS count FROM notes").get() as any;
console.log(process.env.STEADY_ENV, process.env.STEADY_VERSION, count, readFileSync("files/a.txt", "utf8"));
console.log(readdirSync(".").join(" "), existsSync("files/link"));
writeFileSync("files/a.txt", "by the trial");
"""


async def trial_log(here: World) -> list[str]:
    lines = await here.logs.tail((await here.app()).id, 100)
    return [line.text for line in lines if line.version == 2 and line.source == "app"]


@BOTH
def test_a_candidate_sees_a_copy_of_everything_while_the_old_version_goes_on(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create({"index.ts": WRITES, "old.txt": "shipped"})
            await here.ask(method="POST")
            await here.ask(method="POST")
            waits = TELLS + "await Bun.sleep(200);\n" + WRITES
            deploying = asyncio.create_task(here.deploy({"index.ts": waits, "new.txt": "shipped"}))
            while not deploying.done():
                await here.ask(method="POST")
            await deploying
            tried, *_ = [line.split() for line in await trial_log(here)]
            assert (tried[:2], int(tried[2]) >= 2, tried[3]) == (["trial", "2"], True, "written")
            names, *_ = [line.split() for line in (await trial_log(here))[1:]]
            assert {"data.sqlite", "files", "index.ts", "new.txt"} <= set(names)
            assert (names[-1], "old.txt" in names) == ("false", False), "no link is taken along"
            live = here.fleet.ground.place(await here.app())
            assert (live.app / "files" / "a.txt").read_text() == "written"
            await here.trials.settled()
            assert list(live.scratch.iterdir()) == []

    run(body())


# ------------------------------------------------------------------------------------------------- its rules

TOLD = """
import { existsSync } from "node:fs";
if (process.env.STEADY_ENV === "trial") console.log(`tried with data: ${existsSync("data.sqlite")}`);
const down = process.env.STEADY_ENV === "trial";
"""
SICK = TOLD + 'export default { fetch: (request) => new Response("", { status: down ? 500 : 200 }) };\n'
UP = (
    TOLD
    + """
const status = (url) => (down && !url.endsWith("/up?x=1") ? 500 : 200);
export default { fetch: (request) => new Response("", { status: status(request.url) }) };
"""
)
RULES: Mapping[str, tuple[Mapping[str, object], str, bool, list[str]]] = {
    "the health request fails": ({}, SICK, False, ["tried with data: true"]),
    "another path is asked": ({"health": "/up?x=1"}, UP, True, ["tried with data: true"]),
    "listening is enough": ({"health": False}, SICK, True, ["tried with data: true"]),
    "only a start": ({"mode": "start"}, SICK, True, ["tried with data: false"]),
    "no trial": ({"mode": "off"}, SICK, True, []),
}


@BOTH
@pytest.mark.parametrize("rule", RULES)
def test_the_rules_are_the_files_or_the_owners(root: Path, bun: Engine, rule: str, sandboxed: bool) -> None:
    trial, source, passes, told = RULES[rule]

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(WRITES)
            await here.ask()
            files = {"index.ts": source, "steady.json": json.dumps({"trial": trial})}
            with contextlib.nullcontext() if passes else pytest.raises(SteadyError, match="GET / answered 500"):
                deployed = await here.deploy(files)
                assert ("trial" in [step["name"] for step in deployed.deploy.steps]) == (rule != "no trial")
            lines = await here.logs.tail((await here.app()).id, 100)
            assert [line.text for line in lines if line.text.startswith("tried")] == told
            await here.apps.write(choosing((await here.app()).id, lambda chosen: Choices(trial={"mode": "off"})))
            deployed = await here.deploy({"index.ts": SICK, "steady.json": '{"trial": {"mode": "full"}}'})
            assert "trial" not in [step["name"] for step in deployed.deploy.steps], "the owner's word goes first"

    run(body())
