"""Version 2: what the contract in test_cgroup.py does not say. What needs the kernel runs with
`make test-cgroup2`."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.linux.cgroup import Caps
from steadyd.linux.cgroup2 import Group2, host_of, quota, transferred
from steadyd.linux.tiers import Host
from tests.linux.ground import Ground, eventually


@pytest.fixture
def group(ground: Ground) -> Group2:
    made = ground.make()
    if not isinstance(made, Group2):
        pytest.skip("this machine has version 1: make test-cgroup2")
    return made


class TestNumbers:
    def test_a_quota_is_of_a_tenth_of_a_second(self) -> None:
        assert quota(0) == "max"
        assert quota(1.5) == 150_000
        assert quota(0.000_1) == 1_000

    def test_traffic_is_summed_over_disks(self) -> None:
        assert transferred("8:0 rbytes=1 wbytes=20 rios=5\n254:0 rbytes=2 wbytes=30 rios=5\n") == (3, 50)
        assert transferred("") == (0, 0)

    def test_what_there_is_to_share_is_what_the_groups_above_allow(self, tmp_path: Path) -> None:
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        for folder, memory, cpu in ((inner, "max", "max 100000"), (inner.parent, "1000", "50000 100000")):
            (folder / "memory.max").write_text(memory)
            (folder / "cpu.max").write_text(cpu)
        assert host_of(Host(5_000, 4), str(inner)) == Host(1_000, 0.5)
        assert host_of(Host(500, 0.25), str(inner)) == Host(500, 0.25)


class TestKernel:
    def test_swap_is_off_and_the_group_dies_as_one(self, group: Group2) -> None:
        assert Path(group.file("memory.oom.group")).read_text() == "1\n"
        swap = Path(group.file("memory.swap.max"))
        assert swap.read_text() == "0\n"

    def test_a_tier_is_not_killed_as_one(self, group: Group2) -> None:
        for folder in Path(group.folder).parents[:2]:
            assert (folder / "memory.oom.group").read_text() == "0\n"

    def test_disks_are_shared_by_weight_where_the_machine_can(self, group: Group2) -> None:
        group.cap(Caps(0, 0, 0, cpu_weight=300))
        weights = [Path(group.file(name)) for name in ("io.weight", "io.bfq.weight")]
        said = [path.read_text().splitlines()[0] for path in weights if path.exists()]
        assert set(said) <= {"default 300"}

    def test_one_hog_takes_its_children_with_it(self, ground: Ground, group: Group2) -> None:
        group.cap(Caps(64 << 20, 0, 0))
        code = "import os, time\nx = []\nwhile os.fork(): x.append(bytearray(b'x') * (8 << 20))\ntime.sleep(1000)"
        assert ground.start(group, code).wait(timeout=60) == -9
        eventually(lambda: not group.pids())

    def test_the_daemon_is_in_no_group_that_has_others_below(self, group: Group2) -> None:
        place = Path("/proc/self/cgroup").read_text().split("::")[1].strip()
        assert place == "/" or place.endswith("/daemon")
