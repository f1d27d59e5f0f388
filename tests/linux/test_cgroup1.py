"""Version 1: what the contract in test_cgroup.py does not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.linux.cgroup import Caps
from steadyd.linux.cgroup1 import Group1, least, quota
from tests.linux.ground import Ground


@pytest.fixture
def group(ground: Ground) -> Group1:
    made = ground.make()
    if not isinstance(made, Group1):
        pytest.skip("this machine has version 2")
    return made


def test_swap_is_off(group: Group1) -> None:
    group.cap(Caps(64 << 20, 0, 0))
    folder = Path(group.places["memory"])
    assert (folder / "memory.swappiness").read_text() == "0\n"
    assert int((folder / "memory.memsw.limit_in_bytes").read_text()) <= 68 << 20


def test_a_child_joins_where_all_are_looked_for_first(group: Group1) -> None:
    assert group.join[0] == f"{group.places['pids']}/tasks"
    assert len(group.join) == len(set(group.places.values()))


def test_a_group_never_asks_for_more_processors_than_the_one_above_has(ground: Ground, group: Group1) -> None:
    guest = ground.make("guests")
    assert isinstance(guest, Group1)
    guest.cap(Caps(0, 1_000, 0))
    tier = Path(guest.places["cpu"]).parent
    assert (Path(guest.places["cpu"]) / "cpu.cfs_quota_us").read_text() == (tier / "cpu.cfs_quota_us").read_text()


def test_of_two_limits_the_lesser_counts_and_none_is_no_limit() -> None:
    assert least(2, 1) == least(1, 2) == least(1, 0) == least(0, 1) == 1
    assert least(0, 0) == 0
    assert quota(0) == -1
    assert quota(0.5) == 50_000
    assert quota(0.000_1) == 1_000
