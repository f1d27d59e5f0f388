from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from steadyd.model import File
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import READ_ONLY_BINDS_MAX, SQLITE_HEADER, Folder, Place

UID = 1_900_000_777
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root gives files to another user")
Link = Callable[[dict[str, bytes], int], list[str]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tmp_path.chmod(0o711)
    return Place(tmp_path / "root", UID if AS_ROOT else None)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def link(place: Place, blobs: Blobs) -> Link:
    """Links a tree as a version's files; returns what was put aside."""
    return lambda tree, version: Folder(place, blobs).link(blobs.put(tree), version)


def shown(place: Place) -> dict[str, bytes]:
    """Every file of the app's folder."""
    root = place.app
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_version_s_files_are_shown(place: Place, link: Link) -> None:
    tree = {"index.ts": b"one", "lib/deep/a.ts": b"two"}
    assert link(tree, 1) == []
    assert shown(place) == tree
    assert link(tree, 1) == [], "again is the same"
    assert shown(place) == tree


def test_the_next_version_replaces_the_last_and_keeps_what_the_app_wrote(place: Place, link: Link) -> None:
    link({"index.ts": b"1", "old/gone.ts": b"", "public/logo.png": b"logo"}, 1)
    (place.app / "data.sqlite").write_bytes(b"precious")
    (place.app / "public" / "upload.png").write_bytes(b"upload")
    link({"index.ts": b"2", "new.ts": b""}, 2)
    assert shown(place) == {
        "index.ts": b"2",
        "new.ts": b"",
        "data.sqlite": b"precious",
        "public/upload.png": b"upload",
    }
    assert not (place.app / "old").exists()


def test_a_database_is_not_moved_by_a_deploy(place: Place, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    with open(place.app / "data.sqlite", "wb") as database:
        before = os.fstat(database.fileno()).st_ino
        link({"index.ts": b"2"}, 2)
        assert os.stat(place.app / "data.sqlite").st_ino == before


def test_what_a_version_ships_wins_over_what_the_app_wrote_and_that_is_kept(place: Place, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    (place.app / "page.html").write_bytes(b"written by the app")
    assert link({"index.ts": b"2", "page.html": b"shipped"}, 2) == ["page.html"]
    assert shown(place)["page.html"] == b"shipped"
    assert [path.read_bytes() for path in place.aside.iterdir()] == [b"written by the app"]


def test_a_shipped_database_only_seeds_an_absent_one(place: Place, link: Link) -> None:
    seed = SQLITE_HEADER + b"seed"
    link({"index.ts": b"", "data.sqlite": seed}, 1)
    assert shown(place)["data.sqlite"] == seed
    assert os.access(place.app / "data.sqlite", os.W_OK)
    (place.app / "data.sqlite").write_bytes(SQLITE_HEADER + b"rows")
    assert link({"index.ts": b"", "data.sqlite": seed}, 2) == []
    link({"index.ts": b""}, 3)
    assert shown(place)["data.sqlite"] == SQLITE_HEADER + b"rows"


@pytest.mark.parametrize("made", ["folder", "link to a folder", "link to a file", "nothing at its end"])
def test_whatever_the_app_put_in_a_file_s_way_is_put_aside_and_never_followed(
    made: str, place: Place, link: Link, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.ts").write_bytes(b"host")
    link({"index.ts": b""}, 1)
    if made == "folder":
        (place.app / "lib").mkdir()
        (place.app / "lib" / "x").write_bytes(b"")
        tree = {"index.ts": b"", "lib": b"now a file"}
    else:
        targets = {
            "link to a folder": outside,
            "link to a file": outside / "a.ts",
            "nothing at its end": outside / "no",
        }
        os.symlink(targets[made], place.app / "lib")
        tree = {"index.ts": b"", "lib/a.ts": b"shipped"}
    link(tree, 2)
    assert {path: content for path, content in shown(place).items() if path in tree} == tree
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"a.ts": b"host"}
    assert len(list(place.aside.iterdir())) == 1


def test_removing_a_shipped_file_follows_no_link_either(place: Place, link: Link, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.ts").write_bytes(b"host")
    link({"index.ts": b"", "lib/a.ts": b""}, 1)
    (place.app / "lib" / "a.ts").unlink()
    (place.app / "lib").rmdir()
    os.symlink(outside, place.app / "lib")
    link({"index.ts": b""}, 2)
    assert (outside / "a.ts").exists()


def test_an_interrupted_link_is_repaired_by_the_next(
    place: Place, blobs: Blobs, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    link({"a.ts": b"1", "b.ts": b"1", "gone.ts": b"1"}, 1)
    second = blobs.put({"a.ts": b"2", "b.ts": b"2", "c.ts": b"2"})
    renames: list[str] = []
    rename = os.rename

    def crash(source: str, target: str, **options: int) -> None:
        renames.append(target)
        if len(renames) == 2:
            raise KeyboardInterrupt
        rename(source, target, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            Folder(place, blobs).link(second, 2)
    assert link({"a.ts": b"1", "b.ts": b"1", "gone.ts": b"1"}, 1) == []
    ours = {path: content for path, content in shown(place).items() if not path.startswith(".steady-")}
    assert ours == {"a.ts": b"1", "b.ts": b"1", "gone.ts": b"1"}


@needs_root
def test_the_app_can_write_beside_shipped_files_and_change_none(place: Place, link: Link) -> None:
    """As the app's own uid, with ordinary tools: what must fail fails, what must work works."""
    link({"index.ts": b"1", "public/logo.png": b"logo"}, 1)
    allowed = "echo x > beside && mkdir mine && echo x > mine/y && echo x > public/upload && rm beside"
    refused = [
        "echo x > index.ts", "rm -f index.ts", "mv index.ts other", "chmod 666 index.ts", "rm -f public/logo.png",
        "mv public elsewhere", "mv beside2 index.ts", "ln -sf /etc/passwd index.ts", "chmod 777 .",
    ]  # fmt: skip

    def as_app(command: str) -> int:
        words = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "sh", "-c", command]
        return subprocess.run(words, cwd=place.app, capture_output=True, check=False).returncode

    assert as_app(allowed) == 0
    assert as_app("echo x > beside2") == 0
    assert [command for command in refused if as_app(command) == 0] == []
    assert shown(place)["index.ts"] == b"1"


@needs_root
def test_nobody_else_can_enter_an_app_s_corner(place: Place, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    words = [
        "setpriv",
        f"--reuid={UID + 1}",
        f"--regid={UID + 1}",
        "--clear-groups",
        "cat",
        str(place.app / "index.ts"),
    ]
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0


@needs_root
def test_a_shipped_file_is_one_content_with_its_blob_and_not_writable(place: Place, blobs: Blobs, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    entry = (place.app / "index.ts").stat()
    assert (entry.st_uid, stat.S_IMODE(entry.st_mode)) == (0, 0o444)
    assert entry.st_ino == blobs.path(blobs.put({"index.ts": b"1"})[0].sha256).stat().st_ino


def test_without_a_uid_shipped_names_are_bound_read_only_up_to_a_limit(tmp_path: Path, blobs: Blobs) -> None:
    folder = Folder(Place(tmp_path / "root", None), blobs)
    files = [File("index.ts", "0" * 64, 0), File("lib/a.ts", "0" * 64, 0), File("lib/b.ts", "0" * 64, 0)]
    assert folder.top_level(files) == ("index.ts", "lib")
    many = [File(f"{number:03}.ts", "0" * 64, 0) for number in range(200)]
    assert len(folder.top_level(many)) == READ_ONLY_BINDS_MAX
    assert Folder(Place(tmp_path / "root", 1), blobs).top_level(files) == ()
