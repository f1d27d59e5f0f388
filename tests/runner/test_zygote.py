"""Starts from zygotes: faster, and in nothing else different from a plain start."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steadyd.model import Limits, Network
from steadyd.reach import Reach
from steadyd.runner import zygote as module
from steadyd.runner.engine import Engine
from steadyd.runner.launcher import Launcher
from steadyd.runner.zygote import READY, Nursery
from tests.runner.conftest import HELLO, UID, Stage, alive, ask, limits, needs_cgroups, needs_root, run, stage, until

pytestmark = [needs_cgroups, needs_root, pytest.mark.sandbox]

LOOKS = """
import { Database } from "bun:sqlite";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { value } from "@/lib.ts";
import { name } from "installed";
const tried: Record<string, string> = {};
for (const path of ["new.txt", "index.ts", "node_modules/new", "/steady/new", "/run/steady/new", "/new", "public/new"])
  try { writeFileSync(path, "x"); tried[path] = "written" } catch (error: any) { tried[path] = error.code }
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS t (a)");
await Bun.write("bun.txt", "x");
const status = readFileSync("/proc/self/status", "utf8");
const field = (name: string) => status.match(new RegExp(`${name}:\\\\s*(.*)`))![1];
const say = "echo $MINE $STEADY_ZYGOTE; pwd";
const children = [
  Bun.spawnSync(["sh", "-c", say]).stdout.toString(),
  Bun.spawnSync({ cmd: ["sh", "-c", say] }).stdout.toString(),
  await new Response(Bun.spawn(["sh", "-c", say], { stdin: "ignore" }).stdout).text(),
  require("node:child_process").execSync(say).toString(),
  await Bun.$`sh -c ${say}`.text(),
  Bun.spawnSync(["sh", "-c", say], { env: { MINE: "other", PATH: process.env.PATH } }).stdout.toString(),
];
const seen = {
  tried, value, name, children, cwd: [process.cwd(), process.env.PWD], argv: process.argv.slice(1),
  main: [Bun.main, import.meta.main],
  mine: process.env.MINE, env: Object.keys(process.env).sort(), names: readdirSync(".").sort(), uid: process.getuid!(),
  caps: field("CapEff"), seccomp: field("Seccomp"), privileges: field("NoNewPrivs"), root: readdirSync("/").sort(),
  owner: statSync("new.txt").uid, processes: readdirSync("/proc").filter((name) => Number(name)).length,
};
export default { fetch: () => Response.json(seen) };
"""
FILES = {
    "index.ts": LOOKS,
    "lib.ts": "export const value = 42;",
    "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}',
    "public/page.html": "page",
}


@contextlib.asynccontextmanager
async def nursed(root: Path, built: Engine) -> AsyncIterator[tuple[Stage, Nursery]]:
    """A stage with a nursery that has zygotes ready."""
    async with limits() as more:
        launcher: Launcher = more["spawn"].__self__
        nursery = Nursery(
            built, root / "i", launcher, more["cgroups"], None, {"accounts": Limits(), "guests": Limits()}
        )
        async with stage(root, built, **more) as here:
            here.starter.nursery = nursery
            task = asyncio.create_task(nursery.run())
            try:
                await until(lambda: nursery.ready == sum(READY.values()), "zygotes")
                yield here, nursery
            finally:
                task.cancel()
                nursery.close()


def shipped(here: Stage, files: dict[str, str], **more: Any) -> Any:
    """A plan as a deploy makes one: shipped files and folders are root's."""
    modules = here.root / "modules"
    (modules / "installed").mkdir(parents=True, exist_ok=True)
    (modules / "installed/package.json").write_text('{"name": "installed", "main": "main.js"}')
    (modules / "installed/main.js").write_text('exports.name = "from a package";')
    plan = here.plan(files, modules=modules, **more)
    plan = dataclasses.replace(plan, environ={**plan.environ, "MINE": "yes"})
    (plan.folder / "node_modules").mkdir()
    for path in (plan.folder, *plan.folder.rglob("*")):
        os.chown(path, 0, plan.uid or 0 if path.is_dir() else 0)
        path.chmod(0o1775 if path.is_dir() else 0o444)
    return plan


def test_an_app_from_a_zygote_finds_what_it_finds_in_a_plain_start(root: Path, bun: Engine) -> None:
    """Its folder, its variables, its packages, its rights: the two answers are equal."""

    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            plan = shipped(here, FILES)
            answers = []
            for kind in (nursery, None):
                here.starter.nursery = kind
                runtime = here.runtime(plan)
                answers.append(json.loads((await ask(runtime))[1]))
                for made in ("new.txt", "bun.txt", "data.sqlite", "public/new"):
                    assert (plan.folder / made).stat().st_uid == UID, "on disk it is the app's"
                await runtime.sleep()
            assert answers[0] == answers[1]
            assert answers[0]["cwd"] == ["/app", "/app"]
            assert answers[0]["tried"] == {
                "new.txt": "written",
                "index.ts": "EACCES",
                "node_modules/new": "EROFS",
                "/steady/new": "EROFS",
                "/run/steady/new": "written",
                "/new": "EROFS",
                "public/new": "written",
            }
            assert answers[0]["children"] == [*["yes\n/app\n"] * 5, "other\n/app\n"]

    run(body())


def test_one_becomes_one_app_and_the_next_takes_its_place(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            first, second = here.runtime(here.plan(HELLO)), here.runtime(here.plan(HELLO))
            for runtime in (first, second):
                assert await ask(runtime) == (200, "hello")
            assert first.instance is not None
            assert second.instance is not None
            uids = [os.stat(f"/proc/{app.instance.process.pid}").st_uid for app in (first, second) if app.instance]
            assert len(set(uids)) == 2, "no two share a uid on this host"
            assert UID not in uids
            await until(lambda: nursery.ready == sum(READY.values()))

    run(body())


def test_what_a_zygote_cannot_be_is_started_plainly(root: Path, bun: Engine) -> None:
    """Another entry, a variable that Bun reads at its start, a tier whose zygotes are all taken, one that died while
    it waited."""

    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            other = here.runtime(here.plan({"main.ts": HELLO}, entry="main.ts"))
            assert await ask(other) == (200, "hello")
            homely = here.plan('export default { fetch: () => new Response(require("node:os").homedir()) }')
            homely = dataclasses.replace(homely, environ={**homely.environ, "HOME": "/app/home"})
            assert await ask(here.runtime(homely)) == (200, "/app/home")
            assert nursery.ready == sum(READY.values())
            for waiting in nursery._waiting["guests"]:
                waiting.confined.process.kill()
                await waiting.confined.process.ended
            guest = here.runtime(here.plan(HELLO, tier="guests", reach=Reach(Network.NONE, "", True)))
            assert await ask(guest) == (200, "hello")

    run(body())


def test_the_app_s_limits_hold_and_a_failure_says_where(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with nursed(root, bun) as (here, _):
            hog = "const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));"
            runtime = here.runtime(here.plan(hog, limits=Limits(memory_bytes=80 << 20)))
            with contextlib.suppress(Exception):
                await ask(runtime)
            await until(lambda: here.deaths, "its death")
            assert here.deaths[0].cause == "memory"
            await runtime.close()
            wrong = here.runtime(here.plan("const a = 1;\nthrow new Error('wrong here');"))
            with contextlib.suppress(Exception):
                await wrong.wake()
            assert wrong.failure is not None
            assert wrong.failure.message.startswith("index.ts:2: ")

    run(body())


def test_one_whose_app_is_not_wanted_any_more_is_ended(root: Path, bun: Engine) -> None:
    """A start that is given up in the middle of it leaves nothing: no process, no folder, no group."""

    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            taken = nursery._waiting["accounts"][0]
            start = asyncio.create_task(here.starter.start(here.plan(HELLO), 5.0))
            while taken in nursery._waiting["accounts"]:  # noqa: ASYNC110 - cancelled while its folder is being bound
                await asyncio.sleep(0)
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            await taken.confined.process.ended
            assert not taken.runtime.exists()
            await until(lambda: taken.group.pids() == [], "its last process")

    run(body())


def test_where_a_folder_cannot_be_bound_apps_start_plainly(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            for waiting in nursery._waiting["accounts"]:
                os.kill(waiting.spare, signal.SIGKILL)
            await until(lambda: not any(os.path.exists(f"/proc/{one.spare}") for one in nursery._waiting["accounts"]))
            runtime = here.runtime(here.plan(HELLO))
            assert await ask(runtime) == (200, "hello")
            assert "spare" in nursery.problem
            await until(lambda: nursery.ready == 0, "the end of those that are of no use")

    run(body())


def test_one_that_does_not_come_up_is_given_up(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it left: no folder, no group, no process."""
    monkeypatch.setattr(module, "BORN_SECONDS_MAX", 0.001)

    async def body() -> None:
        async with limits() as more:
            nursery = Nursery(bun, root / "i", more["spawn"].__self__, more["cgroups"], None, {"accounts": Limits()})
            (root / "i").mkdir(mode=0o711)
            with pytest.raises(TimeoutError):
                await nursery._bear("accounts")
            assert list((root / "i").iterdir()) == []
            await until(lambda: alive(str(bun.folder)) == [])

    run(body())


def test_it_is_faster(root: Path, bun: Engine) -> None:
    """Not a figure, which is the benchmark's: only that there is a reason to have them."""

    async def body() -> None:
        async with nursed(root, bun) as (here, nursery):
            took: dict[bool, list[float]] = {True: [], False: []}
            for turn in range(6):
                here.starter.nursery = nursery if turn % 2 else None
                await until(lambda: nursery.ready == sum(READY.values()))
                runtime = here.runtime(here.plan(HELLO))
                began = time.perf_counter()
                await ask(runtime)
                took[bool(turn % 2)].append(time.perf_counter() - began)
            assert min(took[True]) < min(took[False])

    run(body())
