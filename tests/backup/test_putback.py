from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest

from steadyd.backup.manifest import Kept, Manifest
from steadyd.backup.putback import FETCHES_MAX, NAMED_MAX, put_back
from steadyd.errors import SteadyError
from steadyd.runner.folder import Place

AS_ROOT = os.geteuid() == 0
UID = 1_900_000_777


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "a", UID if AS_ROOT else None)
    place.app.mkdir(parents=True)
    return place


class Source:
    """Where contents come from, and how many were fetched at once."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.now = self.most = 0

    def kept(self, content: bytes, mode: int = 0o644) -> Kept:
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[sha256] = content
        return Kept(sha256, len(content), mode)

    async def fetch(self, sha256: str, path: Path) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.fetched.append(sha256)
        if sha256 in self.contents:
            await asyncio.to_thread(path.write_bytes, self.contents[sha256])
        return sha256 in self.contents


def left(place: Place) -> list[str]:
    return sorted(path.name for path in place.root.iterdir())


def test_files_come_back_as_the_apps_own_with_their_modes(place: Place) -> None:
    source = Source()
    names = {"a.txt": 0o600, "uploads/cat.png": 0o640, "deep/er/x": 0o755, "new\nline": 0o644, "empty": 0o444}
    files = {path: source.kept(b"" if path == "empty" else b"same", mode) for path, mode in names.items()}
    manifest = Manifest(files, {"uploads/": 0o750, "hollow/": 0o700, "closed/": 0o500, "closed/inner/": 0o555})
    asyncio.run(put_back(manifest, place, source.fetch))
    for path, mode in names.items():
        found = os.lstat(place.app / path)
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_nlink == 1
        assert (place.app / path).read_bytes() == (b"" if path == "empty" else b"same")
        assert not AS_ROOT or (found.st_uid, found.st_gid) == (UID, UID)
    for path, mode in manifest.folders.items():
        found = os.stat(place.app / path)
        assert (stat.S_IMODE(found.st_mode), not AS_ROOT or found.st_uid == UID) == (mode, True)
    assert len(source.fetched) == 2, "each content once"
    assert left(place) == ["app"]


def test_what_lies_there_is_replaced_and_the_rest_stays(place: Place) -> None:
    source = Source()
    (place.app / "a").write_text("old")
    (place.app / "b").write_text("stays")
    asyncio.run(put_back(Manifest({"a": source.kept(b"new")}), place, source.fetch))
    assert ((place.app / "a").read_text(), (place.app / "b").read_text()) == ("new", "stays")


def test_what_is_missing_is_named(place: Place) -> None:
    source = Source()
    lost = {f"lost/{number:03}": Kept(f"{number:064x}", 1, 0o644) for number in range(30)}
    with pytest.raises(SteadyError, match="30 captured files are missing in the backup, first “lost/000”") as caught:
        asyncio.run(put_back(Manifest({"a": source.kept(b"x"), **lost}), place, source.fetch))
    assert caught.value.code == "backup_broken"
    assert (len(caught.value.details["missing"]), caught.value.details["count"]) == (NAMED_MAX, 30)
    assert source.most <= FETCHES_MAX
    assert left(place) == ["app"]


def test_no_link_is_followed(place: Place, tmp_path: Path) -> None:
    source, outside = Source(), tmp_path / "outside"
    outside.mkdir()
    (place.app / "folder").symlink_to(outside)
    (place.app / "file").symlink_to(outside / "file")
    with pytest.raises(SteadyError) as caught:
        asyncio.run(put_back(Manifest({"folder/x": source.kept(b"x")}), place, source.fetch))
    assert caught.value.code == "backup_broken"
    with pytest.raises(SteadyError):
        asyncio.run(put_back(Manifest({}, {"folder/": 0o700}), place, source.fetch))
    asyncio.run(put_back(Manifest({"file": source.kept(b"x")}), place, source.fetch))
    assert list(outside.iterdir()) == []
    assert (place.app / "file").read_bytes() == b"x"
    assert not (place.app / "file").is_symlink()
    assert left(place) == ["app"]


def test_a_store_that_is_away_is_said_as_it_is(place: Place) -> None:
    async def away(sha256: str, path: Path) -> bool:
        raise SteadyError("replica_away", "The object store cannot be reached.")

    with pytest.raises(SteadyError) as caught:
        asyncio.run(put_back(Manifest({"a": Kept("a" * 64, 1, 0o644)}), place, away))
    assert caught.value.code == "replica_away"
