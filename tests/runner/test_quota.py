"""The disk limit's loop: real folders, real measuring children, and an app of which only the doors are played."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import quota
from steadyd.runner.allowance import UNLIMITED, Amount
from steadyd.runner.process import UNCONFINED, Confinement, Process, spawn
from steadyd.runner.quota import Measured, Quota, Share, Watched, measure, too_much
from tests.runner.conftest import run, until

MIB = 1 << 20
NO_LIMIT = Amount(UNLIMITED, UNLIMITED)


class Doors:
    """What the quota does to an app."""

    def __init__(self, folder: Path, limit_bytes: int = 4 * MIB) -> None:
        self.done: list[str] = []
        self.why = ""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.watched = Watched(
            folders=(str(folder),),
            uid=None,
            limit_bytes=limit_bytes,
            pids=list,
            pause=lambda yes: self.done.append("pause" if yes else "go on"),
            stop=self._stop,
        )

    def _stop(self, why: str) -> None:
        self.done.append("stop")
        self.why = why

    def write(self, name: str, mib: int) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(mib * MIB))


def test_who_passes_the_limit_is_stopped_within_a_second(tmp_path: Path) -> None:
    app, other = Doors(tmp_path / "app"), Doors(tmp_path / "other")
    watching = Quota(tmp_path, spawn, lambda: [] if app.why else [app.watched, other.watched])

    async def body() -> float:
        loop = asyncio.create_task(watching.run())
        await until(lambda: watching.used(app.folder) and watching.used(other.folder), "a first look")
        app.write("cache/large", 24)
        began = time.monotonic()
        await until(lambda: app.why, "the stop")
        loop.cancel()
        return time.monotonic() - began

    assert run(body()) < 3.0  # on a busy machine; about 0.7 s on an idle one
    assert app.done == ["stop"]
    assert "more than its 4 MiB" in app.why
    assert "“cache”" in app.why
    assert other.done == []


def test_inodes_are_limited_too_and_no_limit_is_none(tmp_path: Path) -> None:
    app, free = Doors(tmp_path / "app"), Doors(tmp_path / "free", limit_bytes=0)
    watching = Quota(tmp_path, spawn, lambda: [] if app.why else [app.watched, free.watched])

    async def body() -> None:
        loop = asyncio.create_task(watching.run())
        await until(lambda: watching.used(app.folder), "a first look")
        for number in range(10_001):
            (app.folder / str(number)).touch()
        await until(lambda: app.why, "the stop")
        loop.cancel()

    run(body())
    assert "more than 10,000 files and folders" in app.why
    assert watching.used(free.folder) is None


def test_who_moves_its_folders_about_is_paused_to_be_measured(tmp_path: Path) -> None:
    app = Doors(tmp_path / "app")
    (app.folder / "a").mkdir()
    program = (
        "import os, sys\nos.chdir(sys.argv[1])\n"
        "for n in range(40): os.makedirs(f'a/{n}/b', exist_ok=True)\n"
        "print('moving', flush=True)\n"
        "while True:\n"
        "    for n in range(40): os.rename(f'a/{n}/b', 'x'); os.rename('x', f'a/{n}/b')\n"
    )
    mover = subprocess.Popen([sys.executable, "-c", program, str(app.folder)], stdout=subprocess.PIPE)
    assert mover.stdout is not None
    mover.stdout.readline()
    watching = Quota(tmp_path, spawn, lambda: [app.watched])

    async def body() -> None:
        while "go on" not in app.done:
            watching._accounts.clear()
            watching.tick(time.monotonic())
            await asyncio.gather(*watching._measuring.values())

    try:
        run(body())
    finally:
        mover.kill()
        mover.wait()
        mover.stdout.close()
    assert app.done == ["pause", "go on"]


def test_few_are_measured_at_once_and_who_writes_most_comes_first(tmp_path: Path) -> None:
    apps = [Doors(tmp_path / str(number)) for number in range(6)]
    busy = replace(apps[5].watched, pids=lambda: [os.getpid()])
    watching = Quota(tmp_path, spawn, lambda: [*(app.watched for app in apps[:5]), busy])

    async def body() -> set[str]:
        apps[5].write("large", 1)
        watching.tick(time.monotonic())
        first = set(watching._measuring)
        await asyncio.gather(*watching._measuring.values())
        return first

    first = run(body())
    assert len(first) == quota.MEASURES_MAX
    assert str(apps[5].folder) in first


def test_what_cannot_be_measured_in_time_is_asked_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Doors(tmp_path / "app")

    async def stuck(
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process:
        return await spawn(["/bin/sleep", "60"], environ, descriptors, confinement)

    async def failing(
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process:
        raise SteadyError("cannot_start", "No.")

    monkeypatch.setattr(quota, "MARGIN_SECONDS", 0.1)

    async def body() -> list[Measured | None]:
        return [await measure(each, app.watched, NO_LIMIT, 0.1) for each in (stuck, failing)]

    assert run(body()) == [None, None]
    monkeypatch.setattr(quota, "MEASURE_SECONDS_MAX", -1)

    async def late() -> Measured | None:
        return await measure(spawn, app.watched, NO_LIMIT, -1.0)

    (app.folder / "a").touch()
    monkeypatch.setattr(quota, "MARGIN_SECONDS", 10.0)
    found = run(late())
    assert found is not None
    assert not found.whole


def test_who_shares_may_hold_what_the_others_leave(tmp_path: Path) -> None:
    first, second, asleep = (Doors(tmp_path / name, limit_bytes=20 * MIB) for name in ("first", "second", "asleep"))
    share = Share("guest", 24 * MIB)
    asleep.write("old", 12)
    apps = [replace(doors.watched, share=share) for doors in (first, second)]
    apps.append(replace(asleep.watched, share=share, rests=True))
    watching = Quota(tmp_path, spawn, lambda: [app for app in apps if not (second.why and app is apps[1])])

    async def body() -> None:
        loop = asyncio.create_task(watching.run())
        await until(lambda: all(watching.used(doors.folder) for doors in (first, second, asleep)), "a first look")
        second.write("large", 16)  # within its own limit, and more than the others leave
        await until(lambda: second.why, "the stop")
        loop.cancel()

    run(body())
    assert "A guest's apps may hold 24 MiB together" in second.why
    assert (first.done, asleep.done) == ([], [])


def test_why_in_a_sentence() -> None:
    limit = Amount(100 * MIB, 10_000)
    deleted = Measured(120 * MIB, 5, 110 * MIB, True, "x", 5)
    assert too_much(deleted, limit) == (
        "it holds 120 MiB on the disk, more than its 100 MiB. "
        "110 MiB of it are in deleted files that it still has open."
    )
