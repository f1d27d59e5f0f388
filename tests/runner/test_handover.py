"""Data that was made beside an app and becomes its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steadyd.runner.folder import Place
from steadyd.runner.handover import ONE_BY_ONE, hand_over, put
from tests.runner.conftest import UID


def test_everything_belongs_to_the_app(tmp_path: Path) -> None:
    source, place = tmp_path / "made", Place(tmp_path / "app", UID)
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/file").write_text("kept")
    (source / "run.sh").write_text("x")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    place.app.mkdir(parents=True)
    hand_over(source, place)
    assert not source.exists()
    assert sorted(str(path.relative_to(place.app)) for path in place.app.rglob("*")) == [
        "deep", "deep/er", "deep/er/file", "run.sh",
    ]  # fmt: skip
    assert (place.app / "run.sh").stat().st_mode & 0o777 == 0o755
    if UID is not None:
        assert {path.stat().st_uid for path in place.app.rglob("*")} == {UID}
        assert (place.app.stat().st_uid, place.app.stat().st_gid) == (0, UID)


def test_many_files_are_as_well_kept_as_few(tmp_path: Path) -> None:
    source, place = tmp_path / "made", Place(tmp_path / "app", UID)
    for number in range(ONE_BY_ONE + 1):
        put(source, f"{number}.txt", [b"x"], 0o644)
    hand_over(source, place)
    assert len(list(place.app.iterdir())) == ONE_BY_ONE + 1
    assert UID is None or {path.stat().st_uid for path in place.app.iterdir()} == {UID}


def test_a_file_is_new_and_below_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "a/b.txt", [b"one", b"two"], 0o4711)
    assert (tmp_path / "a/b.txt").read_bytes() == b"onetwo"
    assert (tmp_path / "a/b.txt").stat().st_mode & 0o7777 == 0o711
    (tmp_path / "link").symlink_to("/etc/passwd")
    for path in ("a/b.txt", "link"):
        with pytest.raises(FileExistsError):
            put(tmp_path, path, [b"other"], 0o644)
