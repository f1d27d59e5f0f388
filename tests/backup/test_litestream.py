from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from steadyd.backup.litestream import (
    BACKOFF_SECONDS,
    BACKOFF_SECONDS_MAX,
    MEMORY_BYTES_MAX,
    MEMORY_SHARE,
    STEADY_SECONDS,
    Litestream,
    Means,
    Words,
    next_delay,
)
from steadyd.backup.wire import Refused, Unanswered
from steadyd.runner.process import spawn
from tests.backup.replicas import enclosure, running, write
from tests.runner.conftest import limits, needs_cgroups, needs_root, root, run, until

__all__ = ["root"]


def test_it_replicates_what_is_registered(root: Path) -> None:
    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            write(root / "apps" / "a.db", 2)
            path = litestream.enclosure.inside("a.db")
            await litestream.wire.register(path, f"file://{root}/replica/line")
            first = await litestream.wire.sync(path, 5.0)
            assert first.txid == first.replicated > 0
            write(root / "apps" / "a.db")
            second = await litestream.wire.sync(path, 5.0)
            assert second.replicated == second.txid == first.txid + 1
            assert len(list((root / "replica/line/ltx/0").glob("*.ltx"))) == second.txid
            assert await litestream.wire.unregister(path, 5.0) == second.txid
            assert await litestream.wire.registered() == []

    run(body())


@needs_root
@pytest.mark.sandbox
def test_a_link_from_an_app_s_folder_leads_nowhere(root: Path) -> None:
    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            (root / "apps" / "a").mkdir()
            (root / "apps" / "b").mkdir()
            write(root / "apps" / "b" / "secret.db")
            os.symlink("../b/secret.db", root / "apps" / "a" / "x.db")
            os.symlink("../b", root / "apps" / "a" / "folder")
            for name in ("a/x.db", "a/folder/secret.db"):
                path = litestream.enclosure.inside(name)
                await litestream.wire.register(path, f"file://{root}/replica/{name}")
                with pytest.raises(Refused, match="symbolic links"):
                    await litestream.wire.sync(path, 5.0)
            assert list((root / "replica").rglob("*.ltx")) == []

    run(body())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_dies_or_hangs_is_started_again(
    root: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadyd.backup.litestream.HEALTH_SECONDS", 0.1)
    monkeypatch.setattr("steadyd.backup.litestream.HEALTH_ANSWER_SECONDS", 0.5)

    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            ups: list[int] = []
            litestream.on_up = lambda: ups.append(litestream.generation)
            assert litestream.generation == 1
            os.killpg(litestream.group, number)
            await until(lambda: ups == [2], "another start")
            assert await litestream.wire.version() == litestream.version

    run(body())


def test_one_that_cannot_start_says_why_and_nothing_is_green(root: Path) -> None:
    async def body() -> None:
        litestream = Litestream(enclosure(root, replica=root / "nowhere"), Means(spawn), 30)
        with pytest.raises(Unanswered):
            await litestream.until_up(0.01)
        with pytest.raises(Unanswered):
            await litestream.wire.version()
        assert not litestream.up
        assert litestream.problem

    run(body())


@needs_root
@pytest.mark.sandbox
def test_it_holds_few_rights_and_sees_only_what_it_needs(root: Path) -> None:
    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            pid = child_of(litestream.group)
            status = told(pid, "status")
            assert "CapEff:\t000000000000000b" in status
            assert "Seccomp:\t2" in status
            seen = sorted(os.listdir(f"/proc/{pid}/root"))
            assert "usr" not in seen
            assert "etc" not in seen
            assert "AWS" not in told(pid, "cmdline")

    run(body())


def child_of(pid: int) -> str:
    [child] = told(pid, f"task/{pid}/children").split()
    return child


def told(pid: object, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def test_what_it_prints_is_kept_within_limits(root: Path) -> None:
    async def body() -> None:
        words = Words("test")
        reading, writing = os.pipe()
        done = words.take(reading)
        os.write(writing, b'{"level":"ERROR","msg":"no databases specified in configuration"}\n')
        os.write(writing, b"x" * 5_000 + b"\n")
        await until(lambda: str(words).count("x") == 500)
        os.write(writing, b'{"level":"ERROR","msg":"sync error","db":"a.db","error":"disk full"}\n')
        await until(lambda: str(words) == "It said: a.db: sync error: disk full")
        os.close(writing)
        done()

    run(body())


def test_the_backoff_grows_to_its_limit() -> None:
    delays = [BACKOFF_SECONDS]
    while delays[-1] < BACKOFF_SECONDS_MAX:
        delays.append(next_delay(delays[-1], 0.0))
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert next_delay(BACKOFF_SECONDS_MAX, 0.0) == BACKOFF_SECONDS_MAX
    assert next_delay(BACKOFF_SECONDS_MAX, STEADY_SECONDS) == BACKOFF_SECONDS


@needs_cgroups
def test_its_memory_is_limited(root: Path) -> None:
    async def body() -> None:
        async with limits() as cgroups:
            means = Means(cgroups["spawn"], cgroups=cgroups["cgroups"])
            litestream = Litestream(enclosure(root, linkless=False), means, 30)
            task = asyncio.create_task(litestream.run())
            await litestream.until_up()
            said = told(litestream.group, "cgroup")
            assert "litestream-test" in said
            assert f"GOMEMLIMIT={int(MEMORY_BYTES_MAX * MEMORY_SHARE)}" in told(child_of(litestream.group), "environ")
            task.cancel()
            await asyncio.wait({task})

    run(body())


def test_its_configuration_says_how_long_moments_stay(root: Path) -> None:
    async def body() -> None:
        async with running(enclosure(root)) as litestream:
            said = json.loads((litestream.enclosure.corner / "litestream.yml").read_text())
            assert said["snapshot"]["retention"] == "720h"
            assert [level["interval"] for level in said["levels"]] == ["30s", "5m", "1h"]

    run(body())
