"""Drills over a real replica: what is whole is proven, and whatever is harmed is found."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup import drills as module
from steadyd.backup import ltx, replication
from steadyd.backup.chain import Chain
from steadyd.backup.drills import (
    AGAIN_SECONDS,
    FAILED,
    FAILED_SECONDS,
    FILES,
    LATER_SECONDS,
    REST_SECONDS,
    Drills,
    is_due,
)
from steadyd.backup.objects import Objects
from steadyd.backup.truth import Proof
from steadyd.errors import SteadyError
from steadyd.model import App, Event
from steadyd.moment import Capture, Drill, Line, Stand
from steadyd.runner.blobs import Blobs
from steadyd.runner.engine import Engine
from steadyd.runner.ground import Ground
from steadyd.runner.logs import Logs
from steadyd.runner.start import Starter
from steadyd.runner.tool import Tools
from steadyd.runner.trash import Trash
from steadyd.urls import Urls
from tests.backup.replicas import Replicas, opened, replicas, write
from tests.runner.conftest import AS_ROOT, QUICK, run, sandbox_problem, until
from tests.runner.conftest import bun as bun
from tests.runner.conftest import root as root

STAND = Stand("a.db", 1, 5)


@pytest.fixture(autouse=True)
def _soon_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replication, "REST_SECONDS", 0.05)


class Scene:
    """An app with a replica, and drills of it."""

    def __init__(self, here: Replicas, app: App, folder: Path, built: Engine) -> None:
        self.here, self.app, self.folder = here, app, folder
        sandboxed = not sandbox_problem()
        tools, trash = Tools(built, sandboxed), Trash(here.root / "trash")
        logs = Logs(lambda app_id: here.root / "apps" / app_id / "logs", 1 << 20)
        (here.root / "i").mkdir(mode=0o711)
        ground = Ground(
            folder=here.root / "apps",
            blobs=Blobs(here.root / "blobs"),
            library=here.library,
            logs=logs,
            starter=Starter(built, here.root / "i", logs, sandboxed),
            urls=Urls("localhost", "localhost", 8080),
            timing=QUICK,
            trash=trash,
            as_root=AS_ROOT,
        )
        self.told: list[Event] = []
        self.chain = Chain(Objects(here.target), tools, trash)
        self.drills = Drills(ground, self.chain, here.replication, tools, lambda app_id, event: self.told.append(event))

    async def line(self) -> Line:
        return (await self.here.library.lines.of(self.app.id))[-1]

    async def asleep(self) -> None:
        """At rest, with everything in the replica."""
        self.here.sleep(self.app.id)
        end = time.monotonic() + 20
        while await self.drills._settled(self.app.id) is None or self.here.replication._turns.busy(self.app.id):
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    async def drill(self) -> Drill:
        found = await self.drills.drill(self.app)
        assert found is not None
        return found


@asynccontextmanager
async def scene(root: Path, built: Engine, rows: int = 6) -> AsyncIterator[Scene]:
    async with replicas(root) as here:
        app_id, folder = await here.app()
        app = await here.library.apps.by_id(app_id)
        assert app is not None
        found = Scene(here, app, folder, built)
        write(folder / "a.db")
        here.wake(app_id)
        await until(lambda: here.ltx(app_id) == ["1/1"])
        for _ in range(rows):
            write(folder / "a.db", 20)
            await here.replication.sync(app_id)
        await found.asleep()
        yield found


def play(root: Path, built: Engine, body: Callable[[Scene], Any]) -> None:
    async def opened() -> None:
        async with scene(root, built) as found:
            await body(found)

    run(opened())


def test_the_other_files_are_tried_too(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        await found.here.library.captures.add(Capture(0, found.app.id, 1.0, "ab" * 32, 1, 1, 1.0))
        problems: list[str] = []

        async def prove(app: App, scratch: Path) -> list[str]:
            assert not await asyncio.to_thread(lambda: list(scratch.iterdir()))
            return problems

        found.drills.prove = prove
        drill = await found.drill()
        assert (drill.ok, [stand.path for stand in drill.stands]) == (True, ["a.db", FILES])
        problems.append("a.txt: missing or damaged in the backup")
        drill = await found.drill()
        assert (drill.ok, drill.problem) == (False, "a.txt: missing or damaged in the backup.")
        assert [event.kind for event in found.told] == [FAILED]
        assert not list(found.here.place(found.app.id).root.rglob("drill-*"))

    play(root, bun, body)


def test_what_is_whole_is_proven_and_nothing_of_it_is_touched(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in found.folder.iterdir()}
        drill = await found.drill()
        assert (drill.ok, drill.problem, drill.compared) == (True, "", True)
        assert drill.ms > 0
        assert abs(drill.moment - time.time()) < 30
        status = await found.drills.status(found.app.id)
        assert (status.last, status.at, status.under_way) == (drill, drill.at, False)
        assert await found.drills.last(found.app.id) == Proof(drill.at, True, drill.ms)
        assert before == {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in found.folder.iterdir()}
        assert found.told == []
        assert not list(found.here.place(found.app.id).root.rglob("drill-*"))

    play(root, bun, body)


HARMS: dict[str, Any] = {
    "deleted": lambda path, content: path.unlink(),
    "truncated": lambda path, content: path.write_bytes(content[: random.randrange(len(content))]),
    "flipped": lambda path, content: path.write_bytes(_flipped(content)),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_object_is_found_each_time_and_a_new_line_begins(root: Path, bun: Engine, harm: str) -> None:
    async def body(found: Scene) -> None:
        line = await found.line()
        pieces = await found.chain.pieces(line)
        [stand] = await found.drills._stands(found.app.id)
        others = {piece: [other for other in pieces if other != piece] for piece in ltx.plan(pieces, stand.txid)}
        # What was merged meanwhile may be there twice: what is lost without a loss is not looked for.
        piece = random.choice([p for p, left in others.items() if not ltx.plan(left, stand.txid) or ltx.holes(left)])
        path = found.here.target.path / piece.key
        HARMS[harm](path, path.read_bytes())
        drill = await found.drill()
        assert not drill.ok
        assert await found.drills.last(found.app.id) == Proof(drill.at, False, drill.ms, drill.problem)
        assert [event.kind for event in found.told] == ["drill_failed"]
        assert (await found.drills.status(found.app.id)).at is None
        # All of it is there once more, and the next drill proves that.
        assert (await found.line()).id != line.id
        await found.asleep()
        mended = await found.drill()
        assert (mended.ok, mended.compared) == (True, True)
        assert [event.kind for event in found.told] == ["drill_failed", "drill_mended"]

    play(root, bun, body)


def test_a_replica_that_is_not_the_live_database_is_found(root: Path, bun: Engine) -> None:
    """Somebody wrote past every watch: that cannot be told by where the database stands."""

    async def body(found: Scene) -> None:
        settled = await found.drills._settled(found.app.id)
        assert settled is not None
        path = found.folder / "a.db"
        with closing(opened(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        with path.open("r+b") as file:
            file.write(content)
        found.drills._settled = lambda app_id: _soon(settled)  # type: ignore[method-assign]
        drill = await found.drill()
        assert not drill.ok
        assert "differs from the live database" in drill.problem

    play(root, bun, body)


def test_what_is_in_the_log_alone_is_compared_too(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        found.here.wake(found.app.id)
        with closing(opened(found.folder / "a.db")) as kept:
            kept.execute("PRAGMA wal_autocheckpoint = 0")
            write(found.folder / "a.db", 30)
            kept.execute("INSERT INTO t (at) VALUES ('in the log')")
            kept.commit()
            await found.here.replication.sync(found.app.id)
            await found.asleep()
            drill = await found.drill()
            assert (drill.ok, drill.problem, drill.compared) == (True, "", True)

    play(root, bun, body)


@pytest.mark.parametrize("page_bytes", [512, 4096, 65536])
def test_the_log_is_read_as_sqlite_reads_it(tmp_path: Path, bun: Engine, page_bytes: int) -> None:
    """Logs that were checkpointed, begun anew and written to by a transaction that is still open."""
    live, copy = tmp_path / "live.db", tmp_path / "copy.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {page_bytes}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA cache_size = 2")
        database.execute("CREATE TABLE t (x)")
        for _ in range(random.randrange(200)):
            database.execute("INSERT INTO t VALUES (randomblob(1500))")
            if random.random() < 0.05:
                database.execute("DELETE FROM t WHERE rowid % 7 = 1")
            if random.random() < 0.05:
                database.execute(f"PRAGMA wal_checkpoint({random.choice(['PASSIVE', 'RESTART', 'TRUNCATE'])})")
        database.execute("BEGIN")
        database.executemany("INSERT INTO t VALUES (randomblob(1500))", [()] * 100)
        for suffix in ("", "-wal"):
            shutil.copy(f"{live}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as recovered:
            recovered.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert _compared(bun, copy, live) == {"ok": True}
        copy.write_bytes(_flipped(copy.read_bytes()))
        assert "differs" in str(_compared(bun, copy, live)["problem"])


def _compared(built: Engine, restored: Path, live: Path) -> dict[str, Any]:
    command = [str(built.bun), str(built.script("restored.ts")), "compare", str(restored)]
    said = subprocess.run(command, env={"STEADY_LIVE": str(live)}, capture_output=True, check=True).stdout
    return dict(json.loads(said))


def test_one_that_writes_meanwhile_proves_nothing(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        compare = found.drills._compare

        async def waking(*said: Any) -> str:
            write(found.folder / "a.db")
            return await compare(*said)

        found.drills._compare = waking  # type: ignore[method-assign, assignment]
        assert await found.drills.drill(found.app) is None
        assert (await found.drills.status(found.app.id)).last is None
        assert found.told == []

    play(root, bun, body)


def test_an_app_that_never_rests_is_checked_without_a_comparison(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        found.here.wake(found.app.id)
        await until(lambda: found.here.replication.follower(found.app.id).awake)
        drill = await found.drill()
        assert (drill.ok, drill.compared) == (True, False)

    play(root, bun, body)


def test_a_sleeping_app_is_found_once_and_again_when_it_wrote(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        drills, wall = found.drills, time.time()
        assert not await drills.look(0.0, wall)
        assert await drills.look(REST_SECONDS, wall)
        for step in range(1, 4):
            assert not await drills.look(REST_SECONDS + step * LATER_SECONDS, wall + 3 * AGAIN_SECONDS)
        found.here.wake(found.app.id)
        write(found.folder / "a.db")
        await found.here.replication.sync(found.app.id)
        await found.asleep()
        assert not await drills.look(5_000.0, wall)
        assert not await drills.look(5_000.0 + LATER_SECONDS, wall + AGAIN_SECONDS / 2)
        assert await drills.look(5_000.0 + 2 * LATER_SECONDS, wall + 2 * AGAIN_SECONDS)

    play(root, bun, body)


def test_a_store_that_is_away_says_nothing_about_the_backup(root: Path, bun: Engine) -> None:
    async def body(found: Scene) -> None:
        async def away(*said: Any, **more: Any) -> Any:
            raise SteadyError("replica_away", "There is no answer.")

        found.chain._objects.list = away  # type: ignore[method-assign]
        with pytest.raises(SteadyError) as raised:
            await found.drills.drill(found.app)
        assert raised.value.code == "replica_away"
        assert (await found.drills.status(found.app.id)).last is None

    play(root, bun, body)


def test_so_many_wait_for_their_turn(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 1)

    async def body(found: Scene) -> None:
        first = asyncio.create_task(found.drills.drill(found.app))
        await asyncio.sleep(0)
        with pytest.raises(SteadyError) as raised:
            await found.drills.drill(found.app)
        assert raised.value.code == "overloaded"
        assert (await found.drills.status(found.app.id)).under_way
        assert await first is not None

    play(root, bun, body)


# ------------------------------------------------------------------------------------------------------- decisions


def test_when_a_drill_is_due() -> None:
    good = Drill("app", 1_000.0, True, 5.0, 990.0, "", True, (STAND,))
    bad = Drill("app", 1_000.0, False, 5.0, 0.0, "it is missing", True, (STAND,))
    later = (Stand("a.db", 1, 6),)
    assert not is_due(None, 0, (), 2_000.0)
    assert is_due(None, 0, (STAND,), 2_000.0)
    assert not is_due(good, 0, (STAND,), 1e9)
    assert not is_due(good, 0, later, 1_000.0 + AGAIN_SECONDS - 1)
    assert is_due(good, 0, later, 1_000.0 + AGAIN_SECONDS)
    assert not is_due(bad, 1, (STAND,), 1_000.0 + FAILED_SECONDS - 1)
    assert is_due(bad, 1, (STAND,), 1_000.0 + FAILED_SECONDS)
    assert not is_due(bad, 2, (STAND,), 1_000.0 + FAILED_SECONDS)


@given(st.integers(1, 10_000))
def test_one_that_fails_is_tried_again_each_day_at_least(failures: int) -> None:
    bad = Drill("app", 0.0, False, 5.0, 0.0, "it is missing")
    assert is_due(bad, failures, (STAND,), AGAIN_SECONDS)


async def _soon(value: Any) -> Any:
    return value


def _flipped(content: bytes) -> bytes:
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
