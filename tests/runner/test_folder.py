from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from steadyd.model import File
from steadyd.runner.blobs import Blobs
from steadyd.runner.folder import READ_ONLY_BINDS_MAX, Folder, Place
from steadyd.tree import SQLITE_HEADER

UID = 1_900_000_777
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root gives files to another user")
Link = Callable[[dict[str, bytes], int], list[str]]


USERS = [pytest.param(UID, marks=needs_root, id="a uid of its own"), pytest.param(None, id="the daemon's uid")]


@pytest.fixture(params=USERS)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    tmp_path.chmod(0o711)
    return Place(tmp_path / "root", request.param)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def link(place: Place, blobs: Blobs) -> Link:
    """Links a tree as the files of a version that then goes live; returns what was put aside."""
    return lambda tree, version: Folder(place, blobs).link(blobs.put(tree), version, version - 1)


def write(place: Place, path: str, content: bytes) -> Path:
    """What the app writes, with the folders that it needs."""
    target = place.app / path
    made = [folder for folder in reversed(target.relative_to(place.app).parents) if not (place.app / folder).exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    for owned in [target, *(place.app / folder for folder in made)]:
        give(place, owned)
    return target


def give(place: Place, path: Path) -> None:
    if place.uid is not None:
        os.chown(path, place.uid, place.uid, follow_symlinks=False)


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
    write(place, "data.sqlite", b"precious")
    write(place, "public/upload.png", b"upload")
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
    before = write(place, "data.sqlite", b"").stat().st_ino
    link({"index.ts": b"2"}, 2)
    assert os.stat(place.app / "data.sqlite").st_ino == before


def test_what_a_version_ships_wins_over_what_the_app_wrote_and_that_is_kept(place: Place, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    write(place, "page.html", b"written by the app")
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
        write(place, "lib/x", b"")
        tree = {"index.ts": b"", "lib": b"now a file"}
    else:
        targets = {
            "link to a folder": outside,
            "link to a file": outside / "a.ts",
            "nothing at its end": outside / "no",
        }
        os.symlink(targets[made], place.app / "lib")
        give(place, place.app / "lib")
        tree = {"index.ts": b"", "lib/a.ts": b"shipped"}
    assert link(tree, 2) == ["lib"]
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


FIRST = {"index.ts": b"1", "lib/a.ts": b"1", "gone/x.ts": b"1", "gone/deep/y.ts": b"1"}
SECOND = {
    "index.ts": b"2", "lib/a.ts": b"1", "page.html": b"2", "public/x.ts": b"2", "new/deep/z.ts": b"2",
    "seed.sqlite": SQLITE_HEADER + b"seed",
}  # fmt: skip
CHANGING = ("rename", "replace", "link", "unlink", "rmdir", "mkdir", "fchown", "fchmod")


def everything(place: Place) -> dict[str, object]:
    """Every entry of the app's folder: content or target, and whose it is."""
    found: dict[str, object] = {}
    for path in place.app.rglob("*"):
        status = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(place.app))] = (content, status.st_uid, stat.S_ISREG(status.st_mode))
    return found


def lived_in(place: Place, link: Link, outside: Path) -> dict[str, object]:
    """Version 1, and an app that wrote where version 2 ships something."""
    link(FIRST, 1)
    for path in ("page.html", "lib/own.txt", "gone/kept.txt", "data.sqlite"):
        write(place, path, b"written")
    os.symlink(outside, place.app / "public")
    give(place, place.app / "public")
    return everything(place)


def crash_at(number: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Run `work` as if the machine stopped before its `number`th change to the disk; false if there was none."""
    count = 0

    def watched(change: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == number:
                raise KeyboardInterrupt
            return change(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in CHANGING:
            patched.setattr(os, name, watched(getattr(os, name)))
        try:
            work()
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.parametrize("uid", USERS)
@pytest.mark.parametrize("then", ["the old version again", "the new version again"])
def test_a_link_that_is_interrupted_anywhere_is_repaired_by_the_next(
    then: str, uid: int | None, tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4: stopped before its first, second, third … change to the disk, until none is left. The version that was
    live is whole again, the app's own files with it; and so is the new one when it is tried again."""
    outside = tmp_path / "outside"
    outside.mkdir()
    tmp_path.chmod(0o711)
    first, second = blobs.put(FIRST), blobs.put(SECOND)
    number, crashed, wanted = 0, True, None
    while crashed:
        place = Place(tmp_path / f"root-{number}", uid)
        link: Link = lambda tree, version: Folder(place, blobs).link(blobs.put(tree), version, 0)  # noqa: B023, E731
        before = lived_in(place, link, outside)
        if number:
            crashed = crash_at(number, monkeypatch, lambda: Folder(place, blobs).link(second, 2, 1))  # noqa: B023
        if then == "the old version again":
            Folder(place, blobs).link(first, 1, 1)
            assert everything(place) == before, number
            assert list(place.aside.iterdir()) == []
        else:
            assert Folder(place, blobs).link(second, 2, 1) == ["page.html", "public"]
            wanted = wanted or everything(place)
            assert everything(place) == wanted, number
        assert list(outside.iterdir()) == []
        number += 1
    assert number > 15


def test_what_was_put_aside_for_a_version_that_went_live_stays_aside(place: Place, blobs: Blobs, link: Link) -> None:
    link({"index.ts": b"1"}, 1)
    write(place, "page.html", b"written")
    link({"index.ts": b"1", "page.html": b"2", "data.sqlite": SQLITE_HEADER + b"2"}, 2)
    Folder(place, blobs).link(blobs.put({"index.ts": b"3"}), 3, 2)
    assert shown(place) == {"index.ts": b"3", "data.sqlite": SQLITE_HEADER + b"2"}
    assert [path.read_bytes() for path in place.aside.iterdir()] == [b"written"]


def test_whether_an_app_has_written_anything(place: Place, blobs: Blobs, link: Link) -> None:
    folder = Folder(place, blobs)
    link({"index.ts": b"1", "lib/a.ts": b"1"}, 1)
    assert not folder.has_written()
    write(place, "lib/own.txt", b"").unlink()
    assert not folder.has_written()
    link({"index.ts": b"1", "lib/data.sqlite": SQLITE_HEADER}, 2)
    assert folder.has_written(), "a database is the app's from its seed on"


def test_folders_deeper_than_the_stack_hide_nothing_that_was_written(place: Place, blobs: Blobs, link: Link) -> None:
    folder = Folder(place, blobs)
    link({"index.ts": b"1"}, 1)
    deepest = f"{place.app}/{'d/' * 1_500}"
    subprocess.run(["/bin/mkdir", "-p", deepest], check=True)
    assert not folder.has_written()
    Path(deepest, "written").touch()
    os.chown(f"{deepest}/written", place.uid or -1, -1)
    assert folder.has_written()
    subprocess.run(["/bin/rm", "-rf", str(place.app / "d")], check=True)


OWN_UID = pytest.mark.parametrize("place", [pytest.param(UID, marks=needs_root)], indirect=True)


@OWN_UID
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


@OWN_UID
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


@OWN_UID
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
    seeded = blobs.put({"index.ts": b"", "data.sqlite": SQLITE_HEADER, "db/a.sqlite": b"", "db/b.ts": b""})
    assert folder.top_level(seeded) == ("index.ts",), "a database must be writable"
