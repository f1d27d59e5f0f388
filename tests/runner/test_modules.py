"""Sets of installed dependencies, shared by all apps of a host."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from steadyd.runner.folder import MODULES, Place
from steadyd.runner.modules import GONE, Modules, modules_path
from tests.runner.conftest import AS_ROOT, UID, needs_root


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    return Modules(tmp_path / "modules", tmp_path / "apps")


def place(tmp_path: Path, name: str) -> Place:
    return Place(tmp_path / "apps" / name, UID)


def installed(tmp_path: Path, text: str = "1") -> Path:
    """What an installation leaves, as the app's own."""
    folder = tmp_path / f"build-{os.urandom(4).hex()}"
    package = folder / MODULES / "pad"
    package.mkdir(parents=True)
    (package / "index.js").write_text(text)
    (package / "tool").write_text("#!/bin/sh")
    (package / "tool").chmod(0o6777)
    (folder / MODULES / ".bin").mkdir(mode=0o777)
    (folder / MODULES / ".bin" / "tool").symlink_to("../pad/tool")
    (folder / MODULES / "out").symlink_to("/etc/passwd")
    if UID is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, UID, UID, follow_symlinks=False)
    return folder


def test_two_apps_have_one_copy(tmp_path: Path, modules: Modules) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    assert not modules.link(one, "key")
    modules.keep(one, "key", installed(tmp_path))
    assert modules.link(two, "key")
    files = [modules_path(where, "key") / "pad" / "index.js" for where in (one, two)]
    assert files[0].samefile(files[1])
    modules.keep(two, "key", late := installed(tmp_path, "2"))
    assert (files[1].read_text(), late.exists()) == ("1", False), "whoever comes second takes what is there"


def test_nobody_may_change_what_is_shared(tmp_path: Path, modules: Modules) -> None:
    passwd = os.stat("/etc/passwd")
    modules.keep(place(tmp_path, "one"), "key", installed(tmp_path))
    for path in (tmp_path / "modules" / "key").rglob("*"):
        found = os.lstat(path)
        assert found.st_uid == (0 if AS_ROOT else os.getuid())
        if not stat.S_ISLNK(found.st_mode):
            assert stat.S_IMODE(found.st_mode) in (0o755, 0o444, 0o555)
    assert stat.S_IMODE(os.stat(modules_path(place(tmp_path, "one"), "key") / "pad" / "tool").st_mode) == 0o555
    assert (os.stat("/etc/passwd").st_mode, os.stat("/etc/passwd").st_uid) == (passwd.st_mode, passwd.st_uid)


@needs_root
def test_the_links_are_out_of_the_app_s_reach(tmp_path: Path, modules: Modules) -> None:
    one = place(tmp_path, "one")
    modules.keep(one, "key", installed(tmp_path))
    for path in (one.root / "modules", tmp_path / "modules"):
        found = path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o711)


def test_a_set_stays_while_any_app_has_a_link(tmp_path: Path, modules: Modules) -> None:
    one, two = place(tmp_path, "one"), place(tmp_path, "two")
    modules.keep(one, "shared", installed(tmp_path))
    modules.link(two, "shared")
    modules.keep(two, "own", installed(tmp_path))
    assert modules.unlinked() == []
    (one.root / "modules" / "shared").unlink()
    (two.root / "modules" / "own").unlink()
    [gone] = modules.unlinked()
    assert gone.name.startswith(GONE)
    assert not modules.link(two, "own")
    assert modules_path(two, "shared").is_dir()
    assert modules.unlinked() == [gone], "what an end of the daemon left is found again"


def test_a_link_that_leads_nowhere_is_mended(tmp_path: Path, modules: Modules) -> None:
    one = place(tmp_path, "one")
    modules.keep(one, "key", installed(tmp_path))
    os.rename(tmp_path / "modules" / "key", tmp_path / "lost")
    assert not modules.link(one, "key")
    modules.keep(one, "key", installed(tmp_path, "again"))
    assert (modules_path(one, "key") / "pad" / "index.js").read_text() == "again"
