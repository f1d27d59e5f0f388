from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import AppState, Origin
from steadyd.runner import reserve
from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, run, tree, until, world
from tests.runner.test_reserve import small

BROKEN = {
    "exits": ("process.exit(3);\n", "exit code 3"),
    "throws": ('throw new Error("no such luck");\n', "no such luck"),
    "does not listen": ("export const nothing = 1;\n", "without starting a server"),
    "does not parse": ("export default {{\n", "index.ts:1"),
    "answers 500": ('export default { fetch: () => new Response("no", { status: 500 }) };\n', "GET / answered 500"),
    "speaks no HTTP": (
        'import net from "node:net";\nnet.createServer((s) => s.end("hello\\r\\n")).listen(3000);\n',
        "not answered with HTTP",
    ),
}

UNHEALTHY = [kind for kind in BROKEN if kind not in ("answers 500", "speaks no HTTP")]
"""What shows without being asked: a switch finds it too, where the trial was left out."""


def hello(word: str) -> str:
    return HELLO.replace("hello", word)


async def refused(work: Awaitable[object]) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await work
    return caught.value


async def everything(here: World) -> dict[str, object]:
    """What a failed deploy must leave as it was: rows that matter, and every file. A database changes by being opened:
    its rows are asked for."""
    return {
        "apps": await here.rows("SELECT id, name, version, held, deleted_at FROM apps"),
        "versions": await here.rows("SELECT app_id, number, entry FROM versions"),
        "files": await here.rows("SELECT app_id, number, path, sha256 FROM version_files"),
        "folders": {
            str(path): path.read_bytes()
            for path in (here.root / "apps").glob("*/app/**/*")
            if path.is_file() and not path.name.startswith("data.sqlite")
        },
    }


# ------------------------------------------------------------------------------------------------------- going live


@BOTH
def test_files_become_an_app_that_answers_and_the_next_version_replaces_it(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            first = await here.create(HELLO)
            assert (first.app.version, first.version.number, first.deploy.status) == (1, 1, "live")
            assert await here.ask() == "hello"
            second = await here.deploy({"index.ts": 'export { default } from "./app";\n', "app.ts": hello("two")})
            assert (second.app.version, await here.ask()) == (2, "two")
            names = ["install", "stage", "check", "trial", "drain", "switch"]
            assert [step["name"] for step in second.deploy.steps] == names
            assert all(step["ok"] and step["ms"] >= 0 for step in second.deploy.steps)
            assert await here.journal.unfinished() == []

    run(body())


def test_a_name_is_made_up_if_none_is_given(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            made = await here.deployer.create(await here.operator(), None, tree(HELLO), Origin("paste"), True)
            assert await here.ask(name=made.app.name) == "hello"
            assert made.app.temporary
            assert made.app.expires_at is not None

    run(body())


def test_a_static_site_needs_no_code(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create({"index.html": "<h1>hi</h1>"})
            assert await here.ask() == "<h1>hi</h1>"

    run(body())


def test_an_app_knows_who_it_is(root: Path, bun: Engine) -> None:
    code = """
const { STEADY_APP, STEADY_URL, STEADY_VERSION, STEADY_ENV, PORT } = process.env;
export default { fetch: () => new Response([STEADY_APP, STEADY_URL, STEADY_VERSION, STEADY_ENV, PORT].join(" ")) };
"""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(code)
            assert await here.ask() == "hello http://hello.localhost:8080 1 production 3000"

    run(body())


@BOTH
def test_no_request_is_lost_while_versions_change(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Promise 2, without the listener: eight clients write all the time; every row is there once."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(COUNTER)
            done, written = asyncio.Event(), 0

            async def keep_writing() -> None:
                nonlocal written
                while not done.is_set():
                    await here.ask(method="POST")
                    written += 1

            writers = [asyncio.create_task(keep_writing()) for _ in range(8)]
            for number in range(2, 6):
                await here.deploy(COUNTER.replace("VERSION = 1", f"VERSION = {number}"))
            done.set()
            await asyncio.gather(*writers)
            assert await here.ask() == f"5 {written}"
            assert written > 20

    run(body())


# ------------------------------------------------------------------------------------------------------- failing


@pytest.mark.parametrize("kind", BROKEN)
def test_a_new_app_that_does_not_work_leaves_nothing(kind: str, root: Path, bun: Engine) -> None:
    code, reason = BROKEN[kind]

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            error = await refused(here.create('console.log("last words");\n' + code))
            assert (error.code, error.status) == ("deploy_failed", 422)
            assert reason.replace("index.ts:1", "index.ts:2") in error.details["reason"]
            assert error.details["step"] == ("check" if kind == "does not parse" else "trial")
            assert "last words" in error.details["logs"] or kind == "does not parse"
            assert await here.rows("SELECT * FROM apps UNION ALL SELECT * FROM apps") == []
            assert here.routes == {}
        assert list((root / "apps").iterdir()) == []

    run(body())


@pytest.mark.parametrize(
    ("kind", "trial"), [*((kind, True) for kind in BROKEN), *((kind, False) for kind in UNHEALTHY)]
)
def test_a_version_that_does_not_work_changes_nothing(kind: str, trial: bool, root: Path, bun: Engine) -> None:
    """Promise 2: files, rows, and the running version, also when the trial was left out and the switch failed."""
    code, reason = BROKEN[kind]

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            assert await here.ask(method="POST") == "1 1"
            await here.ask("/write")
            before = await everything(here)
            error = await refused(here.deploy({"index.ts": code, "page.html": "shipped"}, manner=Manner(trial=trial)))
            assert error.code == "deploy_failed"
            assert reason in error.details["reason"]
            assert await here.ask() == "1 1"
            assert await everything(here) == before
            [failed, *_] = await here.journal.deploys((await here.app()).id)
            if kind != "does not parse":
                assert (failed.status, failed.version) == ("failed", 2)
                assert reason in failed.reason
                assert failed.steps[-1]["ok"] is False

    run(body())


@pytest.mark.parametrize(
    ("files", "code"), [({"a.txt": ""}, "no_entry"), ({"../x": "", "index.ts": ""}, "invalid_path"), ({}, "no_entry")]
)
def test_a_tree_that_cannot_be_a_version_is_refused_before_anything_happens(
    files: dict[str, str], code: str, root: Path, bun: Engine
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            assert (await refused(here.create(files))).code == code
            assert await here.rows("SELECT 1 FROM apps") == []

    run(body())


def test_the_place_of_a_mistake_is_told(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            error = await refused(here.create({"index.ts": 'import "./lib/broken";\n', "lib/broken.ts": "\nlet = ;\n"}))
            assert (error.details["file"], error.details["line"]) == ("lib/broken.ts", 2)

    run(body())


# ------------------------------------------------------------------------------------------------------- the trial


@pytest.mark.sandbox
def test_a_trial_sees_a_copy_of_the_rows_and_cannot_touch_the_live_ones(root: Path, bun: Engine) -> None:
    trial = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
const { count } = db.query("SELECT count(*) AS count FROM visits").get() as { count: number };
console.log(`${process.env.STEADY_ENV} sees ${count}`);
db.run("DELETE FROM visits");
await Bun.write("own.txt", "trial was here");
process.exit(1);
"""

    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(COUNTER)
            for _ in range(3):
                await here.ask(method="POST")
            error = await refused(here.deploy(trial))
            assert "trial sees 3" in error.details["logs"]
            assert await here.ask() == "1 3"
            assert not (here.fleet.ground.place(await here.app()).app / "own.txt").exists()
            await here.trials.settled()
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


@pytest.mark.sandbox
def test_a_trial_sees_the_rows_of_a_database_that_was_shipped_as_a_seed(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create(COUNTER)
            await here.controller.stop(await here.operator(), await here.app(), hold=False)
            seed = (here.fleet.ground.place(await here.app()).app / "data.sqlite").read_bytes()
            files: dict[str, str | bytes] = {"index.ts": COUNTER, "data.sqlite": seed}
            await here.create(files, name="seeded")
            assert await here.ask(method="POST", name="seeded") == "1 1"
            looks = COUNTER + "\nif (db.query('SELECT * FROM visits').all().length !== 1) process.exit(1);\n"
            await here.deploy({**files, "index.ts": looks}, name="seeded")

    run(body())


@BOTH
def test_what_the_app_wrote_is_put_aside_and_told_if_the_version_ships_it(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    writes = 'await Bun.write("page.html", "mine"); await Bun.write("data.txt", "mine");\n' + HELLO

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(writes)
            await here.ask()
            deployed = await here.deploy({"index.ts": HELLO, "page.html": "shipped"})
            [note] = deployed.notes
            assert "“page.html”" in note
            folder = here.fleet.ground.place(await here.app()).app
            assert (folder / "page.html").read_text() == "shipped"
            assert (folder / "data.txt").read_text() == "mine"

    run(body())


# ------------------------------------------------------------------------------------------------------- changes


def test_a_merge_changes_only_what_it_names(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create({"index.ts": 'export { default } from "./a";\n', "a.ts": hello("a"), "b.txt": "b"})
            by, app = await here.operator(), await here.app()
            merged = await here.deployer.merge(
                by, app, {"a.ts": hello("merged").encode(), "b.txt": None, "c.txt": b"c"}
            )
            assert sorted(file.path for file in merged.version.files) == ["a.ts", "c.txt", "index.ts"]
            assert await here.ask() == "merged"
            assert await here.deployer.content(merged.version.files[1]) == b"c"
            assert (await refused(here.deployer.merge(by, app, {"gone.ts": None}))).code == "invalid_path"
            assert (await refused(here.deployer.merge(by, app, {"../x": b""}))).code == "invalid_path"
            assert (await refused(here.deployer.merge(by, app, {"index.ts": None}))).code == "no_entry"

    run(body())


def test_a_deploy_that_was_made_for_another_version_is_a_conflict(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            results = await asyncio.gather(
                *(here.deploy(hello(word), base_version=1) for word in ("a", "b", "c")), return_exceptions=True
            )
            errors = [result for result in results if isinstance(result, SteadyError)]
            assert [error.code for error in errors] == ["version_conflict"] * 2
            assert errors[0].details == {"live": 2, "base_version": 1}
            assert await here.ask() in "abc"

    run(body())


def test_a_rollback_is_a_deploy_that_can_be_undone(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            by = await here.operator()
            await here.create(hello("one"))
            await here.deploy(hello("two"))
            back = await here.deployer.rollback(by, await here.app(), 1)
            assert (back.app.version, back.deploy.kind, await here.ask()) == (1, "rollback", "one")
            await here.deployer.rollback(by, await here.app(), 2)
            assert await here.ask() == "two"
            assert (await refused(here.deployer.rollback(by, await here.app(), 9))).code == "not_found"
            assert (await here.deploy(hello("three"))).version.number == 3

    run(body())


def test_a_version_that_is_live_survives_a_later_failure_whatever_its_deploy_says(root: Path, bun: Engine) -> None:
    """A crash or a full disk between the swap and the deploy's last row."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(hello("one"))
            await here.deploy(hello("two"))
            await here.database.write(lambda db: db.execute("UPDATE deploys SET status = 'running' WHERE version = 2"))
            await refused(here.deploy("process.exit(1)"))
            await here.controller.restart(await here.operator(), await here.app())
            assert await here.ask() == "two"

    run(body())


def test_a_held_app_can_be_deployed_and_serves_again(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(hello("one"))
            await here.controller.stop(await here.operator(), await here.app(), hold=True)
            await refused(here.deploy("process.exit(1)", manner=Manner(trial=False)))
            app = await here.app()
            assert (app.held, here.fleet.state(app)) == (True, AppState.HELD)
            await here.deploy(hello("two"))
            assert await here.ask() == "two"
            assert not (await here.app()).held

    run(body())


@pytest.mark.network
@pytest.mark.sandbox
def test_dependencies_stay_as_they_were_resolved_until_somebody_says_otherwise(root: Path, bun: Engine) -> None:
    code = 'import pad from "left-pad";\nexport default { fetch: () => new Response(pad("x", 3)) };\n'

    async def body() -> None:
        async with world(root, bun) as here:
            first = await here.create(code)
            assert await here.ask() == "  x"
            pasted = await here.deploy(code.replace("3", "4"))
            assert (pasted.version.modules, await here.ask()) == (first.version.modules, "   x")
            locks = [file for done in (first, pasted) for file in done.version.files if file.path == "bun.lock"]
            assert (len(locks), len(set(locks))) == (2, 1)
            by, app = await here.operator(), await here.app()
            merged = await here.deployer.merge(by, app, {"index.ts": code.replace("3", "5").encode()})
            assert (merged.version.modules, await here.ask()) == (first.version.modules, "    x")
            plain = await here.deploy(HELLO)
            assert [file.path for file in plain.version.files] == ["index.ts"]

    run(body())


# ------------------------------------------------------------------------------------------------------- the end


def test_a_deleted_app_is_gone_at_once_and_comes_back_with_its_data(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            by = await here.operator()
            await here.create(COUNTER)
            await here.ask(method="POST")
            await here.removal.delete(by, await here.app())
            app = await here.app()
            assert (here.routes, here.fleet.state(app)) == ({}, AppState.DELETED)
            assert (await refused(here.create(HELLO))).code == "name_taken"
            assert (await refused(here.deploy(HELLO))).code == "not_found"
            await here.removal.undelete(by, app)
            assert await here.ask() == "1 1"

    run(body())


def test_a_purged_app_leaves_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create('setInterval(() => console.log("still here"), 1);\n' + HELLO)
            await here.ask()
            await here.removal.purge(await here.operator(), await here.app())
            tables = ("apps", "versions", "version_files", "deploys", "events", "hostnames")
            assert [table for table in tables if await here.rows(f"SELECT 1 FROM {table}")] == []
            await here.create(HELLO)
            await here.removal.purge(await here.operator(), await here.app())
        assert list((root / "apps").iterdir()) == []

    run(body())


def test_a_full_disk_refuses_what_is_new_and_leaves_the_rest_alone(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(hello("one"))
            await here.deploy(hello("two"))
            monkeypatch.setattr(reserve, "RESERVE_BYTES", 1 << 60)
            for attempt in (here.create(HELLO, "other"), here.deploy(HELLO)):
                with pytest.raises(SteadyError) as caught:
                    await attempt
                assert caught.value.code == "disk_full"
            assert await here.apps.by_name("other") is None
            await here.deployer.rollback(await here.operator(), await here.app(), 1)
            assert await here.ask() == "one"
            await here.removal.purge(await here.operator(), await here.app())

    run(body())


def test_a_disk_that_gets_full_in_the_middle_is_said_to_be(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(hello("one"))
            with small(root / "apps" / (await here.app()).id / "scratch", "size=1m,nr_inodes=1"):
                assert (await refused(here.deploy(hello("two")))).code == "disk_full"
            assert await here.ask() == "one"

    run(body())


def test_deleting_waits_for_the_deploy_under_way(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            deploying = asyncio.create_task(here.deploy(hello("two")))
            await until(lambda: (runtime := here.fleet.runtime(app.id)) and runtime.operation.locked(), "the deploy")
            waiting = asyncio.create_task(here.controller.restart(await here.operator(), app))
            await asyncio.sleep(0)
            await here.removal.delete(await here.operator(), app)
            await deploying
            await asyncio.wait([waiting])
            assert here.fleet.state(await here.app()) is AppState.DELETED
            assert list(here.sockets.iterdir()) == []

    run(body())


def test_deleting_an_app_that_is_just_being_created_leaves_nothing_running(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            creating = asyncio.create_task(here.create(HELLO))
            found = None
            while found is None:
                found = await here.apps.by_name("hello")
            await here.removal.purge(await here.operator(), found)
            await asyncio.wait([creating])
            assert list(here.sockets.iterdir()) == []
        assert list((root / "apps").iterdir()) == []

    run(body())


def test_whoever_asked_may_go_away(root: Path, bun: Engine) -> None:
    """A closed connection does not stop a deploy half-way."""

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(HELLO)
            app = await here.app()
            deploying = asyncio.create_task(here.deploy(hello("two")))
            await until(lambda: (runtime := here.fleet.runtime(app.id)) and runtime.operation.locked(), "the deploy")
            deploying.cancel()
            await here.workshop.close()
            assert await here.ask() == "two"

    run(body())
