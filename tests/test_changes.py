"""What `steadyd run` knows of a folder. That changes reload, and which, is tested in tests/cli/test_run.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd import changes


def test_known_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path
    for name in ("a/1", "a/2", "b/1", "b/2", "node_modules/x", ".git/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert changes.files_in(str(folder)) == {str(folder / name) for name in ("a/1", "a/2", "b/1", "b/2")}
    monkeypatch.setattr(changes, "FILES_KNOWN_MAX", 1)
    assert len(changes.files_in(str(folder))) == 2
