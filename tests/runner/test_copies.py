"""The copy of the data that a candidate is tried on: its bounds, and what of it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import copies
from steadyd.runner.engine import Engine
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.kept import KEPT
from tests.runner.conftest import BOTH, HELLO, WRITES, World, run, until, world


def test_data_that_is_too_large_for_a_copy_is_a_reason(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            for limit, named in (("COPY_FILES_MAX", "more than 1 files"), ("COPY_BYTES_MAX", "more than 1 bytes")):
                with monkeypatch.context() as patched:
                    patched.setattr(copies, limit, 1)
                    with pytest.raises(SteadyError) as caught:
                        await here.deploy(HELLO)
                assert caught.value.details["step"] == "trial"
                assert named in caught.value.details["reason"]
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


def test_a_copy_has_so_much_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "COPY_SECONDS_MAX", 0.001)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            with pytest.raises(SteadyError) as caught:
                await here.deploy(HELLO)
            assert caught.value.details["step"] == "trial"

    run(body())


def test_a_copy_for_itself_has_the_same_limits(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            app = await here.app()
            place, live = here.fleet.ground.place(app), await here.versions.one(app.id, 1)
            assert live is not None
            for limit, value in (("COPY_FILES_MAX", 1), ("COPY_BYTES_MAX", 1), ("COPY_SECONDS_MAX", 0.001)):
                with monkeypatch.context() as patched:
                    patched.setattr(copies, limit, value)
                    with pytest.raises(SteadyError, match="The data cannot be copied") as caught:
                        await here.trials.copies.take(place, Place(scratch_path(place, "test"), place.uid), live)
                assert caught.value.code == "too_large"

    run(body())


LARGE = """
import { Database } from "bun:sqlite";
const db = new Database("sub/large.sqlite", { create: true });
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS rows (x BLOB)");
const count = () => (db.query("SELECT count(*) AS count FROM rows").get() as { count: number }).count;
if (count() === 0) db.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) " +
  "INSERT INTO rows SELECT randomblob(1048576) FROM n");
if (process.env.STEADY_ENV === "trial") console.log(`sees ${count()}`);
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO rows VALUES (1)");
    return new Response(`${count()}`);
  },
};
"""
MAKES = 'import { mkdirSync } from "node:fs"; mkdirSync("sub", { recursive: true });\n'
VACUUMS = 'if (process.env.STEADY_ENV === "trial") db.run("VACUUM"), db.run("PRAGMA wal_checkpoint(TRUNCATE)");\n'


async def seen(here: World) -> list[str]:
    lines = await here.logs.tail((await here.app()).id, 200)
    return [line.text for line in lines if line.text.startswith("sees")]


@BOTH
def test_a_large_database_is_copied_once_until_somebody_writes(root: Path, bun: Engine, sandboxed: bool) -> None:
    source = {"make.ts": MAKES, "index.ts": 'import "./make";\n' + LARGE}

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(source)
            assert await here.ask() == "20"
            kept = here.fleet.ground.place(await here.app()).root / KEPT / "0"

            async def deploy(more: str = "") -> int:
                """The inode of what is kept then; 0 for nothing."""
                await here.deploy({**source, "index.ts": source["index.ts"] + more})
                await here.trials.settled()
                assert await here.ask() == "20" or more
                return kept.stat().st_ino if kept.exists() else 0

            first = await deploy()
            assert first
            assert [await deploy(), await deploy()] == [first, first], "nobody wrote"
            await here.ask(method="POST")
            second = await deploy("// 21")
            assert second not in (0, first)
            assert await deploy(VACUUMS) == 0, "the trial wrote into the copy's own file"
            assert await deploy("// 21")
            assert await seen(here) == ["sees 20"] * 4 + ["sees 21"] * 3

    run(body())


def test_a_kept_copy_goes_with_time_and_with_the_daemon(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"make.ts": MAKES, "index.ts": 'import "./make";\n' + LARGE}

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(source)
            await here.ask()
            kept = here.fleet.ground.place(await here.app()).root / KEPT
            await here.deploy(source)
            await here.trials.settled()
            assert kept.exists()
            monkeypatch.setattr(copies, "KEPT_SECONDS_MAX", 0.05)
            await here.deploy(source)
            await here.trials.settled()
            await until(lambda: not kept.exists())
            monkeypatch.setattr(copies, "KEPT_SECONDS_MAX", 3600.0)
            await here.deploy(source)
            await here.trials.settled()
            assert kept.exists()
        async with world(root, bun, sandboxed=False):
            assert not kept.exists()

    run(body())
