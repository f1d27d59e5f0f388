"""Adding up an app's folders: what counts, and that nothing in them leads anywhere else."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.linux import usage
from steadyd.linux.usage import Enough, Walk

KIB = 1024
DEEP = 4_000
MINE = os.geteuid()
root = pytest.mark.skipif(MINE != 0, reason="files of another owner need root")


def measured(folder: Path, uid: int | None = None, bytes_max: int = 1 << 50, inodes_max: int = 1 << 30) -> Walk:
    walk = Walk(uid, bytes_max, inodes_max)
    walk.folder(str(folder))
    return walk


def filled(path: Path, kib: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(kib * KIB))
    return path


def dig(folder: Path, depth: int) -> None:
    """`depth` folders in one another, and a file of 64 KiB at the bottom: no path reaches there."""
    current = os.open(folder, usage.WALK)
    for _ in range(depth):
        os.mkdir("deeper", dir_fd=current)
        inner = os.open("deeper", usage.WALK, dir_fd=current)
        os.close(current)
        current = inner
    file = os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=current)
    os.write(file, os.urandom(64 * KIB))
    os.close(file)
    os.close(current)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    inner = tmp_path / "app"
    inner.mkdir()
    yield inner
    subprocess.run(["/bin/rm", "-rf", str(inner)], check=True)  # deeper than pytest can remove


def test_blocks_and_inodes_count_like_du(folder: Path) -> None:
    filled(folder / "a", 100)
    filled(folder / "sub" / "sub" / "b", 300)
    (folder / "sub" / "empty").touch()
    walk = measured(folder)
    told = subprocess.run(["/usr/bin/du", "-s", "-B1", str(folder)], capture_output=True, check=True, text=True)
    assert walk.bytes == int(told.stdout.split()[0]) - os.stat(folder).st_blocks * 512
    assert (walk.inodes, walk.whole) == (5, True)
    assert (walk.largest, walk.largest_bytes >= 300 * KIB) == ("sub", True)


def test_a_sparse_file_counts_by_its_blocks(folder: Path) -> None:
    with open(folder / "sparse", "wb") as file:
        file.truncate(1 << 40)
    assert measured(folder).bytes < 64 * KIB


def test_a_file_with_two_names_counts_once(folder: Path) -> None:
    os.link(filled(folder / "a", 200), folder / "b")
    walk = measured(folder)
    assert 200 * KIB <= walk.bytes < 300 * KIB
    assert walk.inodes == 1


def test_no_link_is_followed_and_nothing_special_is_opened(folder: Path, tmp_path: Path) -> None:
    filled(tmp_path / "elsewhere" / "large", 500)
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")  # to open it would wait for ever
    walk = measured(folder)
    assert walk.bytes < 100 * KIB
    assert (walk.inodes, walk.whole) == (3, True)
    (tmp_path / "app-link").symlink_to(folder)
    assert measured(tmp_path / "app-link").inodes == 0


def test_four_thousand_folders_deep(folder: Path) -> None:
    dig(folder, DEEP)
    walk = measured(folder)
    assert (walk.inodes, walk.whole) == (DEEP + 1, True)
    assert walk.bytes >= 64 * KIB


def test_a_folder_moved_under_our_feet_leads_nowhere(folder: Path, tmp_path: Path) -> None:
    """`..` of a moved folder is somebody else's folder."""
    filled(tmp_path / "secret" / "large", 900)
    (folder / "a" / "b" / "c").mkdir(parents=True)

    class Raced(Walk):
        def _scan(self, inner: int) -> list[str]:
            if os.path.samestat(os.fstat(inner), os.stat(deepest)):
                os.rename(folder / "a" / "b", tmp_path / "secret" / "b")
            return super()._scan(inner)

    deepest = folder / "a" / "b" / "c"
    walk = Raced(None, 1 << 50, 1 << 30)
    walk.folder(str(folder))
    assert not walk.whole
    assert walk.bytes < 100 * KIB


@root
def test_only_the_owner_s_files_count_and_a_closed_folder_hides_nothing(folder: Path) -> None:
    filled(folder / "shipped", 400)
    for name in ("mine", "closed/inner"):
        os.chown(filled(folder / name, 50), 12345, 12345)
    os.chown(folder / "closed", 12345, 12345)
    (folder / "closed").chmod(0)
    walk = measured(folder, uid=12345)
    assert walk.inodes == 3
    assert 100 * KIB <= walk.bytes < 200 * KIB


def test_it_stops_at_either_limit(folder: Path) -> None:
    for number in range(50):
        filled(folder / str(number), 8)
    with pytest.raises(Enough):
        measured(folder, inodes_max=20)
    with pytest.raises(Enough):
        measured(folder, bytes_max=100 * KIB)


@pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")
def test_a_deleted_file_counts_while_it_is_open_or_mapped(folder: Path) -> None:
    def held() -> int:
        walk = measured(folder)
        walk.held([os.getpid()])
        return walk.held_bytes

    before, path = held(), filled(folder / "gone", 256)
    with open(path, "r+b") as file:
        path.unlink()
        assert held() - before == 256 * KIB
        mapped = mmap.mmap(file.fileno(), 0)
    if MINE == 0:  # map_files is root's to read
        assert held() - before == 256 * KIB
    mapped.close()
    assert held() == before


def test_as_a_program(folder: Path) -> None:
    filled(folder / "a", 40)
    order: dict[str, object] = {"folders": [str(folder), f"{folder}/none"], "uid": None, "pids": []}
    order |= {"bytes": 1 << 40, "inodes": 100, "seconds": 10}

    def answer() -> dict[str, object]:
        command = [sys.executable, "-I", "-S", usage.__file__, json.dumps(order)]
        return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))

    assert answer() | {"bytes": 0} == {
        "bytes": 0,
        "inodes": 1,
        "held_bytes": 0,
        "whole": True,
        "largest": "",
        "largest_bytes": 0,
    }
    order["inodes"] = 0
    assert answer()["whole"] is False
    order |= {"inodes": 100, "seconds": -1}
    assert answer()["whole"] is False
