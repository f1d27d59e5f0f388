"""An app's archive on a laptop."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from steadyd.cli.archive import beside, is_archive, unpack
from steadyd.errors import SteadyError
from tests.test_appfile import AT, GOOD, ROWS, address, packed, said

SEED = b"SQLite format 3\0seed"


def archive(folder: Path, name: str = "shop.steady") -> Path:
    path = folder / name
    path.write_bytes(packed(said(variables={"TOKEN": True}), GOOD).getvalue())
    return path


def test_one_is_known_whatever_it_is_called(tmp_path: Path) -> None:
    assert is_archive(archive(tmp_path, "shop.tgz"))
    (tmp_path / "index.ts").write_text("export default {}")
    assert not is_archive(tmp_path / "index.ts")
    assert not is_archive(tmp_path)


def test_it_is_unpacked_beside_itself_and_never_over_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, name = beside(archive(tmp_path), None)
    assert (folder, name) == (tmp_path / "shop", "hello")
    assert (folder / "index.ts").read_bytes() == GOOD[0][1]
    assert (folder / "data.sqlite").read_bytes() == ROWS
    told = capsys.readouterr().err
    assert str(folder) in told
    assert "TOKEN" in told
    (folder / "data.sqlite").write_bytes(b"newer")
    with pytest.raises(SteadyError, match="is there already, perhaps with data") as caught:
        beside(tmp_path / "shop.steady", None)
    assert caught.value.code == "conflict"
    assert (folder / "data.sqlite").read_bytes() == b"newer"


def test_half_of_one_leaves_nothing(tmp_path: Path) -> None:
    path = archive(tmp_path)
    path.write_bytes(packed(said(), GOOD[:1]).getvalue())
    with pytest.raises(SteadyError, match="is missing"):
        beside(path, None)
    assert list(tmp_path.iterdir()) == [path]


def test_a_shipped_seed_gives_way_to_what_became_of_it(tmp_path: Path) -> None:
    """And one content that a version has twice is written twice."""
    files = {"index.ts": address(GOOD[0][1]), "lib/copy.ts": address(GOOD[0][1]), "data.sqlite": address(SEED)}
    manifest = said()
    manifest["versions"][0]["files"] = files
    manifest["contents"][address(SEED)] = len(SEED)
    contents = sorted([(f"contents/{address(SEED)}", SEED), (str(GOOD[0][0]), GOOD[0][1])])
    unpack(packed(manifest, [*contents, GOOD[1]]), tmp_path / "new")
    assert (tmp_path / "new/data.sqlite").read_bytes() == ROWS
    assert (tmp_path / "new/lib/copy.ts").read_bytes() == GOOD[0][1]


def test_modes_are_kept_within_reason(tmp_path: Path) -> None:
    kept = {"path": "run.sh", "bytes": len(ROWS), "sha256": address(ROWS), "mode": 0o755}
    manifest = said(data={"at": AT, "files": [kept]})
    unpack(packed(manifest, [GOOD[0], ("data/run.sh", ROWS)]), tmp_path / "new")
    assert (tmp_path / "new/run.sh").stat().st_mode & 0o7777 == 0o755


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(SteadyError, match="not empty"):
        unpack(io.BytesIO(packed(said(), GOOD).getvalue()), tmp_path / "full")
    (tmp_path / "empty").mkdir()
    unpack(packed(said(), GOOD), tmp_path / "empty")
    assert (tmp_path / "empty/index.ts").exists()
