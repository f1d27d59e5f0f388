"""Where a daemon's groups may lie, decided on folders that look like a hierarchy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.linux.site import Site, delegated, site

FILES = ("cgroup.events", "cgroup.procs", "cgroup.subtree_control")


def hierarchy(folder: Path, members: str = "", controllers: str = "cpu io memory pids") -> str:
    """A folder with the control files of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).touch()
    (folder / "cgroup.procs").write_text(members)
    (folder / "cgroup.controllers").write_text(controllers + "\n")
    return str(folder)


def test_a_group_that_is_ours_alone_is_the_site_and_we_leave_it_first(tmp_path: Path) -> None:
    own = hierarchy(tmp_path / "unit", f"{os.getpid()}\n")
    assert site("steadyd", own, str(tmp_path)) == Site(own, (os.getpid(),))


def test_after_we_moved_the_site_is_the_same(tmp_path: Path) -> None:
    unit = hierarchy(tmp_path / "unit")
    own = hierarchy(tmp_path / "unit" / "steadyd" / "daemon", f"{os.getpid()}\n")
    assert site("steadyd", own, str(tmp_path)) == Site(unit, inside=True)


def test_a_group_with_others_in_it_is_not_ours(tmp_path: Path) -> None:
    own = hierarchy(tmp_path / "session", f"{os.getpid()}\n1\n")
    assert not delegated(own)


def test_the_root_of_all_is_nobodys(tmp_path: Path) -> None:
    own = hierarchy(tmp_path)
    (tmp_path / "cgroup.events").unlink()
    assert not delegated(own)


def test_root_elsewhere_takes_the_top(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    top = hierarchy(tmp_path)
    own = hierarchy(tmp_path / "session", f"{os.getpid()}\n1\n")
    assert site("steadyd", own, top) == Site(top)


def test_a_user_without_a_group_is_told_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    own = hierarchy(tmp_path / "session", f"{os.getpid()}\n1\n")
    with pytest.raises(SteadyError, match="systemd-run --user --scope -p Delegate=yes") as caught:
        site("steadyd", own, str(tmp_path))
    assert caught.value.code == "cannot_start"


def test_a_group_without_a_controller_says_which(tmp_path: Path) -> None:
    own = hierarchy(tmp_path / "unit", f"{os.getpid()}\n", "memory pids")
    with pytest.raises(SteadyError, match=r"lacks cpu\. Have systemd delegate them: Delegate=cpu") as caught:
        site("steadyd", own, str(tmp_path))
    assert caught.value.code == "cannot_start"
