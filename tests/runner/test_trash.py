"""Folders on their way out: at once for everybody else, whatever is in them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.runner.process import UNCONFINED, Confinement, Process
from steadyd.runner.trash import Trash, remove_now
from tests.runner.conftest import run, until

WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def fill(folder: Path, files: int = 0, depth: int = 0) -> Path:
    folder.mkdir()
    for number in range(files):
        os.close(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT))
    current = os.open(folder, WALK)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=current)
        inner = os.open("deeper", WALK, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)
    return folder


def test_what_is_thrown_away_is_gone_at_once_and_removed_soon(tmp_path: Path) -> None:
    many, deep = fill(tmp_path / "many", files=1_000), fill(tmp_path / "deep", depth=1_000)
    (tmp_path / "kept").write_text("kept")
    (many / "link").symlink_to(tmp_path / "kept")
    (many / "folder-link").symlink_to(tmp_path)
    os.mkfifo(many / "pipe")
    trash = Trash(tmp_path / "trash")

    async def body() -> float:
        began = time.monotonic()
        await trash.throw(many)
        await trash.throw(deep)
        await trash.throw(tmp_path / "never-there")
        took = time.monotonic() - began
        assert not many.exists()
        assert not deep.exists()
        await trash.emptied()
        return took

    assert run(body()) < 0.25
    assert os.listdir(tmp_path / "trash") == []
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "trash").stat().st_mode & 0o777 == 0o700


def test_a_stop_in_the_middle_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    many = fill(tmp_path / "many", files=1_000)

    async def first() -> None:
        trash = Trash(tmp_path / "trash")
        await trash.throw(many)
        await trash.close()

    async def second() -> None:
        trash = Trash(tmp_path / "trash")
        trash.empty()
        await trash.emptied()
        await trash.close()

    run(first())
    assert len(os.listdir(tmp_path / "trash")) == 1
    run(second())
    assert os.listdir(tmp_path / "trash") == []


def test_what_cannot_be_removed_holds_up_nothing_else(tmp_path: Path) -> None:
    refused: list[str] = []

    async def failing(
        argv: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Mapping[int, int],
        confinement: Confinement = UNCONFINED,
    ) -> Process:
        refused.append(argv[-1])
        raise SteadyError("cannot_start", "No.")

    async def body() -> None:
        trash = Trash(tmp_path / "trash", failing)
        for name in ("a", "b"):
            await trash.throw(fill(tmp_path / name))
        await until(lambda: len(refused) == 2)
        await trash.emptied()

    run(body())
    assert len(set(refused)) == 2


def test_another_filesystem_is_removed_in_place(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    folder = fill(elsewhere / f"steadyd-{os.getpid()}", files=3)

    async def body() -> None:
        trash = Trash(tmp_path / "trash")
        await trash.throw(folder)
        assert not folder.exists()
        await trash.emptied()

    run(body())


def test_a_corner_full_of_folders_in_one_another_goes_too(tmp_path: Path) -> None:
    async def body() -> None:
        remove_now(fill(tmp_path / "flat", files=3))
        assert not (tmp_path / "flat").exists()
        remove_now(fill(tmp_path / "deep", depth=1_500))
        await until(lambda: not (tmp_path / "deep").exists())

    run(body())
