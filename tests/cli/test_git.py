"""Where a folder stands, with a real git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from steadyd.cli.git import commit_at

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "index.ts").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_clean_folder_stands_at_its_commit(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://ada:hunter2@git.example/ada/shop.git")
    found = commit_at(repository)
    assert found is not None
    assert (found.id, found.remote, found.dirty) == (
        git(repository, "rev-parse", "HEAD"), "https://git.example/ada/shop.git", False,
    )  # fmt: skip


def test_changed_and_unknown_files_make_it_dirty_but_only_in_this_folder(repository: Path) -> None:
    inner = repository / "app"
    inner.mkdir()
    (inner / "index.ts").write_text("2")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    (repository / "index.ts").write_text("changed")
    outside, inside = commit_at(repository), commit_at(inner)
    assert outside is not None
    assert inside is not None
    assert (outside.dirty, inside.dirty, outside.remote) == (True, False, "")
    (inner / "new.ts").write_text("")
    again = commit_at(inner)
    assert again is not None
    assert again.dirty


def test_a_folder_of_nobody_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_at(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit_at(tmp_path) is None, "no commit yet"
    monkeypatch.setenv("PATH", "")
    assert commit_at(tmp_path) is None, "no git"
