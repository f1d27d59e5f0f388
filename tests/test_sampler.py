"""The loop that reads what running apps use."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steadyd import sampler as module
from steadyd.records.metrics import Metrics, Reading
from steadyd.records.requests import Requests
from steadyd.sampler import Sampler

SECONDS_MAX = 10


def test_it_reads_what_runs_in_a_thread_and_keeps_it_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.001)
    read: list[str] = []

    async def body() -> None:
        loop, enough = asyncio.get_running_loop(), asyncio.Event()

        def reading() -> Reading:
            read.append(threading.current_thread().name)
            if len(read) == 3:
                loop.call_soon_threadsafe(enough.set)
            return Reading(1 << 20, 0.5)

        (tmp_path / "a").mkdir()
        requests = Requests(lambda app_id: tmp_path / app_id)
        metrics = Metrics(requests)
        sampler = Sampler(metrics, lambda: {"a": reading})
        running = asyncio.create_task(sampler.run())
        async with asyncio.timeout(SECONDS_MAX):
            await enough.wait()
        running.cancel()
        await sampler.close()
        samples = await metrics.window("a", 0.0)
        assert sum(sample.readings for sample in samples) == len(read)
        assert abs(samples[0].at - time.time()) < SECONDS_MAX
        assert all(name.startswith("sampler") for name in read)
        requests.close()

    asyncio.run(body())


def test_a_look_that_fails_is_told_and_the_next_one_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.001)
    looks = 0
    again = asyncio.Event()

    def readings() -> Mapping[str, Callable[[], Reading | None]]:
        nonlocal looks
        looks += 1
        if looks > 1:
            again.set()
        raise OSError("no such process")

    async def body() -> None:
        requests = Requests(lambda app_id: tmp_path / app_id)
        sampler = Sampler(Metrics(requests), readings)
        running = asyncio.create_task(sampler.run())
        async with asyncio.timeout(SECONDS_MAX):
            await again.wait()
        running.cancel()
        await sampler.close()
        requests.close()

    with caplog.at_level(logging.ERROR, "steadyd.sampler"):
        asyncio.run(body())
    assert "no such process" in caplog.text
