"""What an installation puts on the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import outlay
from steadyd.runner.outlay import Outlay, amount
from steadyd.runner.process import Exit
from steadyd.runner.tool import Result
from tests.runner.conftest import until

DONE = Result(Exit(0, None), b"", False)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(outlay, "LOOK_EVERY_SECONDS", 0.01)
    for name in ("folder", "cache"):
        (tmp_path / name).mkdir()
    return tmp_path / "folder", tmp_path / "cache"


@pytest.mark.parametrize(("files", "bytes_each"), [(12, 1), (2, 60_000)])
def test_an_installation_that_takes_too_much_of_the_disk_is_told_at_once(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, files: int, bytes_each: int
) -> None:
    monkeypatch.setattr(outlay, "INSTALL_BYTES_MAX", 100_000)
    monkeypatch.setattr(outlay, "INSTALL_FILES_MAX", 10)
    folder, cache = places
    (cache / "before").write_bytes(b"x" * 90_000)

    async def body() -> None:
        running: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        watched = Outlay(folder, cache, lambda said: None)
        for number in range(files):
            (cache / str(number)).write_bytes(b"x" * bytes_each)
        with pytest.raises(SteadyError) as caught:
            await asyncio.wait_for(watched.watch(running), 10)
        assert (caught.value.code, caught.value.details["cause"]) == ("too_large", "too_large")

    asyncio.run(body())


def test_whoever_takes_too_much_is_ended(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlay, "INSTALL_FILES_MAX", 10)
    folder, cache = places
    ended = []

    async def program(files: int, seconds: float) -> Result:
        try:
            for number in range(files):
                (folder / f"{files}-{number}").touch()
            await asyncio.sleep(seconds)
        finally:
            ended.append(files)
        return DONE

    async def body() -> None:
        watched = Outlay(folder, cache, lambda said: None)
        assert await watched.attend(program(6, 0)) == DONE
        with pytest.raises(SteadyError):
            await watched.attend(program(7, 600))
        assert ended == [6, 7], "the second counts on where the first stopped"

    asyncio.run(body())


def test_each_phase_is_told_once(places: tuple[Path, Path]) -> None:
    folder, cache = places
    (cache / "old@1.0.0@@@1").mkdir()
    told: list[str] = []

    async def body() -> None:
        running: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        watching = asyncio.ensure_future(Outlay(folder, cache, told.append).watch(running))
        (cache / "hono@4.9.2@@@1").mkdir()
        await until(lambda: len(told) == 1)
        (cache / "@scope").mkdir()
        (cache / "@scope" / "name@1.0.0@@@1").mkdir()
        await until(lambda: len(told) == 2)
        (folder / "node_modules").mkdir()
        await until(lambda: len(told) == 3)
        running.set_result(DONE)
        await watching
        assert told == ["Downloaded 1 package.", "Downloaded 2 packages.", "Linking the packages."]

    asyncio.run(body())


def test_each_file_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5_000)
    alone = amount([tmp_path])
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert amount([tmp_path]) == alone
