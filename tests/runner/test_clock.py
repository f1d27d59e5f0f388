"""Crons of a developer's folder, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from steadyd.records.crons import Result
from steadyd.runner import clock
from steadyd.runner.clock import Clock
from steadyd.runner.errand import Errand
from tests.runner.conftest import until

HOUR = 3_600.0


class Bench:
    """A clock at work: what it fired, what it said."""

    def __init__(self, folder: Path) -> None:
        self.now = 10 * 24 * HOUR
        self.fired: list[Errand] = []
        self.said: list[str] = []
        self.go = asyncio.Event()
        self.folder = folder
        self.clock = Clock("local", folder, self.fire, self.said.append, lambda: self.now)

    async def fire(self, errand: Errand) -> Result:
        self.fired.append(errand)
        await self.go.wait()
        return Result("ok")

    def write(self, said: object) -> None:
        (self.folder / "steady.json").write_text(json.dumps(said))


def with_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Callable[[Bench], Awaitable[None]]) -> None:
    monkeypatch.setattr(clock, "LOOK_SECONDS_MAX", 0.01)

    async def run() -> None:
        bench = Bench(tmp_path)
        bench.write({"crons": [{"schedule": "@hourly", "path": "/tick"}]})
        task = asyncio.create_task(bench.clock.run())
        try:
            await until(lambda: bool(bench.said))
            await body(bench)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_each_moment_is_fired_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bench: Bench) -> None:
        bench.go.set()
        began = bench.now
        for hours in (1, 2):
            bench.now = began + hours * HOUR
            await until(lambda hours=hours: len(bench.fired) == hours)  # type: ignore[misc]
        assert [errand.moment for errand in bench.fired] == [began + HOUR, began + 2 * HOUR]
        assert [errand.run_id for errand in bench.fired] == [1, 2]

    with_bench(tmp_path, monkeypatch, body)


def test_of_what_passed_the_last_is_fired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bench: Bench) -> None:
        bench.now += 5.5 * HOUR
        await until(lambda: bool(bench.fired))
        assert [errand.moment for errand in bench.fired] == [bench.now - HOUR / 2]

    with_bench(tmp_path, monkeypatch, body)


def test_none_runs_twice_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bench: Bench) -> None:
        bench.now += HOUR
        await until(lambda: bool(bench.fired))
        bench.now += HOUR
        await until(lambda: any("skipped" in said for said in bench.said))
        assert len(bench.fired) == 1

    with_bench(tmp_path, monkeypatch, body)


def test_the_file_is_read_as_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bench: Bench) -> None:
        assert bench.said == ["Crons: tick (@hourly)"]
        bench.write({"crons": "none"})
        await until(lambda: "No crons: " in bench.said[-1])
        bench.write({})
        await until(lambda: bench.said[-1] == "Crons: none yet")
        bench.now += HOUR
        bench.write({"crons": [{"schedule": "@daily", "export": "tidy"}]})
        await until(lambda: bench.said[-1] == "Crons: tidy (@daily)")
        assert bench.fired == []

    with_bench(tmp_path, monkeypatch, body)
