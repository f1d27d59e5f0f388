"""Another app that begins as this one is, or was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, AppState, Cron, Kind, Principal
from steadyd.moment import Mark, PointKind
from steadyd.records.crons import putting
from steadyd.records.points import Points
from steadyd.runner.bundle import find_bundle
from steadyd.runner.copies import Snapshot
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place
from steadyd.runner.forks import TOLD_MAX
from steadyd.runner.keeper import NoKeeper
from steadyd.variables import Value, change_in
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, run, world

PACKAGE = '{"steady": {"crons": [{"id": "tick", "schedule": "@hourly", "path": "/"}]}}'


async def visit(here: World, name: str = "hello", times: int = 1) -> str:
    for _ in range(times):
        told = await here.ask(method="POST", name=name)
    return told


async def fork(here: World, by: Principal | None = None, **more: Any) -> Any:
    return await here.workshop.forks.fork(by or await here.operator(), await here.app(), "branch", **more)


@BOTH
def test_a_fork_goes_its_own_way(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create({"index.ts": COUNTER, "package.json": PACKAGE})
            await visit(here, times=3)
            here_folder = here.fleet.ground.place(await here.app()).app
            (here_folder / "note.txt").write_text("mine")
            forked = await fork(here)
            assert forked.app.version == 1
            assert here.fleet.state(forked.app) is AppState.STOPPED
            before = await here.ask()
            assert await here.ask(name="branch") == before
            await visit(here, "branch")
            assert await here.ask() == before != await here.ask(name="branch")
            place = here.fleet.ground.place(forked.app)
            assert (place.app / "note.txt").read_text() == "mine"
            assert place.uid is None or (place.app / "note.txt").stat().st_uid == place.uid
            assert not list(here.fleet.ground.place(await here.app()).scratch.iterdir())
            version = await here.versions.one(forked.app.id, 1)
            assert version is not None
            assert (version.origin.source, version.origin.of, version.live_at is None) == ("fork", "hello", False)

    run(body())


def test_crons_are_off_and_values_stay_with_their_owner(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            operator = await here.operator()
            await here.create({"index.ts": HELLO, "package.json": PACKAGE})
            app = await here.app()
            change = change_in("production", {"TOKEN": Value("t"), "PLAIN": Value("p", False)})
            environment = here.library.environment
            await here.apps.write(
                environment.change(app.id, change, operator, 1.0),
                putting(app.id, Cron("mine", "@daily", path="/"), True, 50),
            )
            forked = await fork(here)
            assert await environment.values(forked.app.id, "production") == {"TOKEN": "t", "PLAIN": "p"}
            jobs = {job.cron.id: job for job in await here.library.crons.of(forked.app.id)}
            assert {name: (job.enabled, job.made) for name, job in jobs.items()} == {
                "tick": (False, False),
                "mine": (False, True),
            }
            assert "mine, tick" in forked.notes[0]
            guest = await here.people.add_guest(1.0)
            other = await here.workshop.forks.fork(guest, app, "theirs")
            assert other.app.temporary
            assert await environment.values(other.app.id, "production") == {}
            blanks = await here.library.blanks.of(other.app.id)
            assert {name: blank.secret for name, blank in blanks.items()} == {"TOKEN": True, "PLAIN": False}
            assert any("PLAIN, TOKEN" in note or "TOKEN, PLAIN" in note for note in other.notes)

    run(body())


def test_a_fork_that_fails_leaves_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(COUNTER)
            await visit(here)
            for name, code in (("hello", "name_taken"), ("no name", "invalid_name")):
                with pytest.raises(SteadyError) as caught:
                    await here.workshop.forks.fork(await here.operator(), await here.app(), name)
                assert caught.value.code == code

            class Broken:
                mark, version = Mark(1.0), 1

                async def put_into(self, place: Place) -> Snapshot:
                    raise SteadyError("conflict", "It is gone.")

            with pytest.raises(SteadyError):
                await fork(here, past=Broken())
            with pytest.raises(SteadyError) as caught:
                await fork(here, past=replace_version(Broken(), 9))
            assert caught.value.code == "not_found"
            assert [app.name for app in await here.apps.everything()] == ["hello"]
            assert len(list((root / "apps").iterdir())) == 1
            assert await here.ask() == await here.ask()

    run(body())


def replace_version(past: Any, version: int) -> Any:
    past.version = version
    return past


MOMENT = Mark(1_000.0)


@dataclass
class Yesterday:
    """Data as somebody keeps it: one file."""

    version: int
    mark: Mark = MOMENT

    async def put_into(self, place: Place) -> Snapshot:
        place.app.mkdir(parents=True)
        with closing(sqlite3.connect(place.app / "data.sqlite")) as db:
            db.execute("CREATE TABLE visits (id INTEGER PRIMARY KEY, at TEXT)")
        return Snapshot(self.mark.at, 8192, left_out={f"pipe-{n}": "not a regular file" for n in range(TOLD_MAX + 2)})


def test_an_earlier_moment_has_its_own_version(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create({"index.ts": COUNTER, "old.txt": "old"})
            await here.deploy({"index.ts": COUNTER})
            await visit(here, times=2)
            forked = await fork(here, past=Yesterday(1))
            assert forked.at == 1_000.0
            assert len(forked.notes) == TOLD_MAX + 1
            assert forked.notes[-1] == "And 2 more."
            version = await here.versions.one(forked.app.id, 1)
            assert version is not None
            assert [file.path for file in version.files] == ["index.ts", "old.txt"]
            assert await here.ask(name="branch") != await here.ask()

    run(body())


def test_the_moment_becomes_a_restore_point(root: Path, bun: Engine) -> None:
    told: list[str] = []

    class Keeps(NoKeeper):
        def pointed(self) -> None:
            told.append("a point")

        async def mark(self, app: App) -> Mark | None:
            return Mark(5.0)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            here.fleet.keeper = Keeps()
            await here.create(HELLO)
            forked = await fork(here)
            (point,) = await Points(here.database).of((await here.app()).id)
            assert (point.kind, point.mark.at, point.note, point.version) == (
                PointKind.FORK, 5.0, "Forked as branch.", 1,
            )  # fmt: skip
            assert await Points(here.database).of(forked.app.id) == []
            assert told[-1:] == ["a point"]

    run(body())


def test_a_guest_s_room_counts(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            guest = await here.people.add_guest(1.0)
            assert guest.kind is Kind.GUEST
            await here.create(COUNTER)
            await visit(here)
            here.apps.policy = replace(
                here.apps.policy, guest_limits=replace(here.apps.policy.guest_limits, disk_bytes=4096)
            )
            with pytest.raises(SteadyError) as caught:
                await fork(here, by=guest)
            assert caught.value.code == "disk_full"
            assert [app.name for app in await here.apps.everything()] == ["hello"]

    run(body())


@pytest.mark.sandbox
def test_bytecode_is_made_once(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun) as here:
            await here.create({"index.ts": HELLO + f"export const much = {['x' * 100] * 1_000};\n"})
            app = await here.app()
            forked = await fork(here)
            ground, found = here.fleet.ground, []
            for each in (app, forked.app):
                version = await here.versions.one(each.id, 1)
                assert version is not None
                found.append(find_bundle(ground.place(each), version, ground.starter.engine))
            assert found[0] is not None
            assert found[1] is not None
            assert (found[0] / "index.js").stat().st_ino == (found[1] / "index.js").stat().st_ino
            assert await here.ask(name="branch") == "hello"

    run(body())
