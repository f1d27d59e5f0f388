from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from steadyd.backup.aims import Aim, Part
from steadyd.backup.chain import Restored
from steadyd.backup.data import Data, Former, make
from steadyd.backup.ltx import Moment
from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.moment import Line, Stand
from steadyd.runner.folder import Place

AIM = Aim(100.0, tuple(
    Part(path, Line(number, "a", path, 1, 0.0), 7, 90.0 + number) for number, path in enumerate(("one", "sub/two"))
), "ab" * 32, 80.0, 3)  # fmt: skip


class Shelf:
    """What comes from the object store: each file says whose it is."""

    def __init__(self, missing: str = "") -> None:
        self.missing = missing

    async def restore(self, line: Line, txid: int, target: Path, place: Place, pinned: bool = False) -> Restored:
        if line.path == self.missing:
            raise SteadyError("backup_broken", f"An object of “{line.path}” is gone.")
        await asyncio.to_thread(target.write_text, f"{line.path} at {txid}")
        return Restored(10, 1.0, Moment(txid, 90.0))

    async def put_back(self, manifest: str, place: Place) -> int:
        await asyncio.to_thread((place.app / "word").write_text, manifest)
        return 1

    async def capture(self, app: App) -> object:
        raise AssertionError


def data(missing: str = "") -> Data:
    return Data(Shelf(missing), Shelf(missing))


def test_the_databases_and_the_files_are_where_they_were(tmp_path: Path) -> None:
    async def body(told: Callable[[str], None], said: list[str]) -> None:
        place = Place(tmp_path / "a", None)
        snapshot = await data().put_into(AIM, place, told)
        assert (place.app / "sub/two").read_text() == "sub/two at 7"
        assert (place.app / "word").read_text() == AIM.manifest
        assert (snapshot.at, snapshot.bytes, snapshot.databases) == (91.0, 20, {"one": 90.0, "sub/two": 91.0})
        assert said == ["“one”", "“sub/two”", "other files"]

    said: list[str] = []
    asyncio.run(body(said.append, said))


def test_what_cannot_be_had_is_raised(tmp_path: Path) -> None:
    with pytest.raises(SteadyError, match="sub/two"):
        asyncio.run(data("sub/two").put_into(AIM, Place(tmp_path / "a", None)))


def test_a_fork_begins_with_what_was(tmp_path: Path) -> None:
    former = Former(data(), AIM)
    assert former.version == 3
    assert former.mark.databases == (Stand("one", 0, 7), Stand("sub/two", 1, 7))
    assert (former.mark.at, former.mark.manifest, former.mark.files_at) == (91.0, AIM.manifest, 80.0)
    place = Place(tmp_path / "b", None)
    assert asyncio.run(former.put_into(place)).at == 91.0
    assert (place.app / "one").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_the_folder_is_the_apps_to_write_in_and_roots_to_keep(tmp_path: Path) -> None:
    place = Place(tmp_path / "a", 1_900_000_123)
    make(place)
    asyncio.run(data().put_into(AIM, place))
    found = place.app.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 1_900_000_123, 0o1775)
    assert (place.app / "sub").stat().st_uid == 1_900_000_123
