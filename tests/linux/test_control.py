"""Control files and folders; what needs a kernel's own is in test_cgroup.py."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.linux import control


def test_numbers_and_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("42\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "keyed").write_text("low 0\noom_kill 3\nword x\n")
    assert control.number(f"{tmp_path}/n") == 42
    assert control.number(f"{tmp_path}/max") == 0
    assert control.keyed(f"{tmp_path}/keyed") == {"low": 0, "oom_kill": 3}


def test_what_not_every_kernel_has_is_left_alone(tmp_path: Path) -> None:
    control.write_where_there(f"{tmp_path}/none", 1)
    assert not (tmp_path / "none").exists()


def test_signalling_ends_when_none_is_new() -> None:
    listed = iter([[1, 2], [1, 2, 3], [2, 3]])
    sent: list[int] = []
    control.signal_all(lambda: next(listed), sent.append)
    assert sorted(sent) == [1, 2, 3]


def test_signalling_gives_up_on_what_never_ends() -> None:
    fresh = count(1)
    sent: list[int] = []
    with pytest.raises(SteadyError) as caught:
        control.signal_all(lambda: [next(fresh)], sent.append)
    assert caught.value.code == "internal"
    assert len(sent) == control.PASSES_MAX


def test_a_group_that_is_gone_has_no_members_and_is_removed(tmp_path: Path) -> None:
    assert control.members(f"{tmp_path}/none") == []
    assert control.remove(f"{tmp_path}/none")


def test_groups_above_are_those_with_the_file(tmp_path: Path) -> None:
    inner = tmp_path / "root" / "a" / "b"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "cpu.max").touch()
    assert list(control.above(str(inner), "cpu.max")) == [str(inner), str(inner.parent)]
