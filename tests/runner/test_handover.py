"""Data that was made beside an app and becomes its own."""

from __future__ import annotations

import os
from pathlib import Path

from steadyd.runner.folder import Place
from steadyd.runner.handover import hand_over
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
