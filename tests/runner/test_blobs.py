from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.model import File
from steadyd.runner.blobs import Blobs, Shelf


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def address(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_contents_are_kept_by_address(blobs: Blobs) -> None:
    files = blobs.put({"b.txt": b"two", "a.txt": b"one", "empty": b""})
    assert files == [
        File("a.txt", address(b"one"), 3),
        File("b.txt", address(b"two"), 3),
        File("empty", address(b""), 0),
    ]
    assert [blobs.get(file.sha256) for file in files] == [b"one", b"two", b""]


def test_a_content_is_written_once_and_never_again(blobs: Blobs) -> None:
    blobs.put({"a": b"same", "b": b"same"})
    before = blobs.path(address(b"same")).stat()
    blobs.put({"c": b"same"})
    after = blobs.path(address(b"same")).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert stat.S_IMODE(after.st_mode) == 0o444


def test_a_content_is_on_disk_before_it_has_its_name_and_its_name_before_we_return(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4, with the power gone at any moment: the file, its name, and the new folder that holds the name."""
    done: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        done.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def watched_rename(source: str, target: Path) -> None:
        done.append(("rename", str(source)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    [file] = blobs.put({"a": b"content"})
    target = blobs.path(file.sha256)
    part = done[0][1]
    assert done[:2] == [("fsync", part), ("rename", part)]
    assert {("fsync", str(folder)) for folder in list(target.parents)[:3]} == set(done[2:])


def test_a_damaged_or_missing_content_is_never_served(blobs: Blobs) -> None:
    blobs.put({"a": b"good"})
    path = blobs.path(address(b"good"))
    path.chmod(0o644)
    path.write_bytes(b"evil")
    for sha256 in (address(b"good"), address(b"never put")):
        with pytest.raises(SteadyError) as caught:
            blobs.get(sha256)
        assert caught.value.code == "internal"


def test_a_full_disk_leaves_no_half_written_content(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    blobs.put({"a": b"before"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SteadyError) as caught:
            blobs.put({"b": b"after"})
    assert caught.value.code == "disk_full"
    assert blobs.sweep([address(b"before")]) == 0
    assert not blobs.path(address(b"after")).exists()


def test_sweeping_keeps_what_is_needed(blobs: Blobs) -> None:
    blobs.put({"a": b"kept", "b": b"gone"})
    interrupted = blobs.path(address(b"kept")).with_name("part-x")
    interrupted.write_bytes(b"half")
    assert blobs.sweep([address(b"kept")]) == 2
    assert blobs.get(address(b"kept")) == b"kept"
    assert not interrupted.exists()


def test_what_is_on_its_way_into_a_version_is_not_tidied_away(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    async def nothing(among: object) -> set[str]:
        return set()

    async def body() -> None:
        shelf = Shelf(blobs, nothing)
        async with shelf.kept():
            (file,) = blobs.put({"a": b"on its way"})
            await shelf.tidy()
            assert blobs.get(file.sha256) == b"on its way"
        await shelf.tidy()
        assert not blobs.path(file.sha256).exists()

    asyncio.run(body())


def test_a_few_contents_are_let_go_unless_a_version_needs_them_or_something_is_on_its_way(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    used, unused, other = blobs.put({"a": b"used", "b": b"unused", "c": b"never asked about"})

    async def in_use(among: Collection[str] | None) -> set[str]:
        assert among == {used.sha256, unused.sha256}
        return {used.sha256}

    async def body() -> None:
        shelf = Shelf(blobs, in_use)
        asked = {used.sha256, unused.sha256}
        async with shelf.kept():
            await shelf.let_go(asked)
            assert blobs.path(unused.sha256).exists()
        await shelf.let_go(asked)
        await shelf.let_go(set())
        assert [blobs.path(file.sha256).exists() for file in (used, unused, other)] == [True, False, True]

    asyncio.run(body())


def test_a_content_may_come_piece_by_piece(blobs: Blobs) -> None:
    whole = b"one" + b"two"
    blobs.take(address(whole), iter([b"one", b"two"]))
    assert blobs.get(address(whole)) == whole
    blobs.take(address(whole), iter([b"is there already, so nobody reads this"]))
    assert blobs.get(address(whole)) == whole


def test_one_that_breaks_off_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise SteadyError("invalid_archive", "It ends early.")

    with pytest.raises(SteadyError):
        blobs.take(address(b"half and half"), breaks())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
