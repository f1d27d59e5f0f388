"""Control groups: the contract of `steadyd.linux.group`, on whichever version this machine has, with real processes.

`make test-cgroup2` runs the same tests on version 2, in a virtual machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from steadyd.errors import SteadyError
from steadyd.linux import control
from steadyd.linux.cgroup import Caps, Group, open_cgroups
from steadyd.linux.hierarchy import mounts, places
from steadyd.linux.pressure import STEP_SECONDS
from steadyd.linux.tiers import Host
from tests.linux.ground import SCALE, Ground, alive, eventually, killed

Result = TypeVar("Result")
MIB = 1 << 20
LIMIT = 64 * MIB
UNLIMITED = Caps(0, 0, 0)

SLEEP = "import time; print('up'); time.sleep(1000)"
SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint('up')\nwhile True: pass"
COUNT = "import time\nn = 0\nwhile True:\n n += 1; print(n); time.sleep(0.01)"
FORK_BOMB = """
import os, time
print('up')
while True:
    try: os.fork()
    except OSError: time.sleep(0.001)
"""

HOGS = {
    "anonymous, in big steps": "x = []\nwhile True: x.append(bytearray(b'x') * (8 << 20))",
    "anonymous, in small steps": "x = []\nwhile True: x.append(bytes(5000) + b'%d' % len(x))",
    "anonymous, slowly": "import time\nx = []\nwhile True: x.append(bytearray(b'x') * (1 << 18)); time.sleep(0.002)",
    "shared memory": "import os\nf = os.memfd_create('x')\nwhile True: os.write(f, bytes(65536))",
    "a mapping": "import mmap\nm = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096): m[i] = 1",
    "many small processes": """
import os, time
while True:
    if os.fork() == 0:
        x = bytearray(b'x') * (3 << 20); time.sleep(1000)
    time.sleep(0.005)
""",
    "nothing left for its code": """
import mmap, random, sys
held = bytearray(b'x') * int(sys.argv[2])
file = open(sys.argv[1], 'rb')
code = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
while True: code[random.randrange(24 << 20)]
""",
}

CACHES = {
    "reads": "import sys\nwhile True:\n with open(sys.argv[1], 'rb') as f:\n  while f.read(1 << 20): pass",
    "reads through a mapping": """
import mmap, sys
file = open(sys.argv[1], 'rb')
data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
while True:
    for i in range(0, len(data), 4096): data[i]
""",
    "writes": """
import sys
while True:
    with open(sys.argv[1] + '.out', 'wb') as f:
        for _ in range(150): f.write(bytes(1 << 20))
""",
    "reads and holds nearly all": """
import sys
held = bytearray(b'x') * int(sys.argv[2])
while True:
    with open(sys.argv[1], 'rb') as f:
        while f.read(1 << 20): pass
""",
    "looks things up at random and holds nearly all": """
import mmap, random, sys
held = bytearray(b'x') * int(sys.argv[2])
file = open(sys.argv[1], 'rb')
data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
data.madvise(mmap.MADV_RANDOM)
while True: data[random.randrange(len(data))]
""",
}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Larger than the limit, on a disk, and in nobody's page cache."""
    path = tmp_path_factory.mktemp("big") / "file"
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for _ in range(400):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path


def forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(scenario: Coroutine[None, None, Result]) -> Result:
    """On the daemon's own kind of loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)


def up(ground: Ground, group: Group, code: str, *args: object) -> int:
    """Start `code` and return its pid when it says that it is up."""
    child = ground.start(group, code, *args)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child.pid


def test_whoever_may_not_make_groups_is_told_what_to_do(ground: Ground) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            open_cgroups(f"{ground.name}-other")
        except SteadyError as error:
            os.write(writing, f"{error.code}: {error.message}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        said = file.read()
    assert said.startswith("cannot_start: The control group /")
    assert "steadyd doctor --unit" in said or "systemd-run --user --scope -p Delegate=yes" in said


class TestMembership:
    def test_a_child_that_joins_is_in_it_and_so_are_its_children(self, ground: Ground) -> None:
        group = ground.make()
        assert group.pids() == []
        pid = up(ground, group, "import os, time\nif os.fork(): print('up')\ntime.sleep(1000)")
        eventually(lambda: len(group.pids()) == 2)
        assert pid in group.pids()
        assert os.getpid() not in group.pids()

    def test_two_of_one_name_do_not_meet(self, ground: Ground) -> None:
        one, other = ground.make(name="same"), ground.make(name="same")
        pid = up(ground, one, SLEEP)
        assert one.name == other.name == "same"
        assert one.pids() == [pid]
        assert other.pids() == []

    def test_what_was_removed_has_nobody_in_it(self, ground: Ground) -> None:
        group = ground.make()
        group.remove()
        group.remove()
        assert group.pids() == []
        group.freeze()
        group.thaw()
        group.kill()
        with pytest.raises(FileNotFoundError):
            group.sample()
        with pytest.raises(SteadyError, match="has ended") as caught:
            group.cap(UNLIMITED)
        assert caught.value.code == "conflict"

    def test_what_is_still_ending_is_removed_later(self, ground: Ground) -> None:
        group = ground.make()
        up(ground, group, SLEEP)
        group.remove()
        folder = Path(group.join[0]).parent
        assert folder.exists(), "something runs in it"
        group.kill()
        eventually(lambda: not group.pids())
        ground.make()
        assert not folder.exists()


class TestLimits:
    def test_processor_time_is_limited(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(0, 0.2, 0))
        up(ground, group, SPIN, 0)
        before, began = group.sample().cpu_seconds, time.monotonic()
        eventually(lambda: group.toll().throttled_periods >= 5)
        seconds = time.monotonic() - began
        assert group.sample().cpu_seconds - before <= 0.2 * seconds + 0.06 * SCALE
        assert group.sample().throttled_seconds > 0

    def test_more_weight_gets_more_of_a_busy_processor(self, ground: Ground) -> None:
        heavy, light = ground.make(name="heavy"), ground.make(name="light")
        heavy.cap(Caps(0, 0, 0, cpu_weight=400))
        light.cap(Caps(0, 0, 0, cpu_weight=40))
        assert self._ratio(ground, heavy, light) > 4

    def test_all_guests_together_weigh_a_tenth_of_an_account(self, ground: Ground) -> None:
        account = ground.make("accounts")
        guests = [ground.make("guests", name) for name in "abc"]
        for guest in guests:
            up(ground, guest, SPIN, 0)
        assert self._ratio(ground, account, *guests) > 4

    def _ratio(self, ground: Ground, one: Group, *others: Group) -> float:
        """How much more processor time `one` gets than all others together, who fight for the same processor."""
        for group in (one, *others):
            if not group.pids():
                up(ground, group, SPIN, 0)
        before = [group.sample().cpu_seconds for group in (one, *others)]
        first = before[0]
        eventually(lambda: one.sample().cpu_seconds > first + 0.6, 20)
        ones, *theirs = (group.sample().cpu_seconds for group in (one, *others))
        return (ones - first) / max(sum(theirs) - sum(before[1:]), 0.001)

    def test_processes_are_limited(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(0, 0, 20))
        up(ground, group, FORK_BOMB)
        eventually(lambda: group.toll().process_refusals > 0)
        assert group.sample().processes == len(group.pids()) == 20

    def test_memory_is_limited_and_the_toll_is_told(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(LIMIT, 0, 0))
        assert killed(ground.start(group, HOGS["anonymous, in big steps"]))
        assert group.toll().memory_kills >= 1
        assert group.toll().memory_refusals > 0
        assert LIMIT * 0.9 <= group.sample().memory_peak_bytes <= LIMIT

    def test_limits_change_while_it_runs(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(LIMIT, 1, 50))
        pid = up(ground, group, "x = bytearray(b'x') * (40 << 20)\n" + SLEEP)
        group.cap(Caps(LIMIT * 2, 0.5, 100))
        group.cap(UNLIMITED)
        group.cap(Caps(LIMIT, 0, 0))
        assert group.pids() == [pid]

    def test_a_limit_below_what_it_holds_is_refused_and_nothing_changes(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(LIMIT, 0, 0))
        pid = up(ground, group, "x = bytearray(b'x') * (40 << 20)\n" + SLEEP)
        with pytest.raises(SteadyError, match="Restart it") as caught:
            group.cap(Caps(LIMIT // 4, 0, 0))
        assert caught.value.code == "conflict"
        assert group.pids() == [pid]
        more = ground.start(group, "x = bytearray(b'x') * (16 << 20)\nprint('held')")
        assert more.stdout is not None
        assert more.stdout.readline() == "held\n", "the old limit still holds"

    def test_all_guests_together_have_a_ceiling(self, ground: Ground) -> None:
        ground.cgroups.close()
        ground.cgroups = open_cgroups(ground.name, Host(memory_bytes=512 * MIB, cpus=2))
        groups = [ground.make("guests", name) for name in "ab"]
        holders = [ground.start(group, "x = bytearray(b'x') * (80 << 20)\n" + SLEEP) for group in groups]
        eventually(lambda: any(holder.poll() is not None for holder in holders))
        assert sum(group.toll().memory_kills for group in groups) >= 1
        assert sum(group.sample().memory_bytes for group in groups) <= 128 * MIB

    def test_all_guests_together_have_a_share_of_the_processors(self, ground: Ground) -> None:
        ground.cgroups.close()
        ground.cgroups = open_cgroups(ground.name, Host(memory_bytes=512 * MIB, cpus=0.4))
        groups = [ground.make("guests", name) for name in "ab"]
        for number, group in enumerate(groups):
            up(ground, group, SPIN, number % len(os.sched_getaffinity(0)))
        before, began = sum(group.sample().cpu_seconds for group in groups), time.monotonic()
        eventually(lambda: sum(group.sample().cpu_seconds for group in groups) - before > 0.1)
        assert time.monotonic() - began >= 0.1 / 0.2 - 0.2


class TestSamples:
    def test_what_is_used_is_seen(self, ground: Ground) -> None:
        group = ground.make()
        up(ground, group, "x = bytearray(b'x') * (30 << 20)\ndel x\ny = bytearray(b'x') * (10 << 20)\n" + SLEEP)
        sample = group.sample()
        assert 10 * MIB <= sample.memory_bytes < 25 * MIB
        assert 30 * MIB <= sample.memory_peak_bytes < 60 * MIB
        assert sample.cpu_seconds > 0
        assert sample.processes == 1

    def test_disk_traffic_is_counted(self, ground: Ground, big_file: Path) -> None:
        group = ground.make()
        forget(big_file)
        code = """
import os, sys
open(sys.argv[1], 'rb').read(8 << 20)
f = os.open(sys.argv[1] + '.written', os.O_CREAT | os.O_WRONLY)
os.write(f, os.urandom(4 << 20))
os.fsync(f)
"""
        assert ground.start(group, code, big_file).wait(timeout=20) == 0
        assert group.sample().read_bytes >= 8 * MIB
        eventually(lambda: group.sample().written_bytes >= 4 * MIB)


class TestFreezing:
    def test_what_is_frozen_does_not_run_until_it_thaws(self, ground: Ground) -> None:
        group = ground.make()
        child = ground.start(group, COUNT)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)

        def said() -> int:
            with contextlib.suppress(BlockingIOError):
                return len(os.read(child.stdout.fileno(), 1 << 16))  # type: ignore[union-attr]
            return 0

        eventually(said)
        group.freeze()
        eventually(lambda: not said(), 1)
        time.sleep(0.1)
        assert not said()
        group.thaw()
        eventually(said)

    def test_what_is_frozen_can_be_killed(self, ground: Ground) -> None:
        group = ground.make()
        child = ground.start(group, COUNT)
        eventually(group.pids)
        group.freeze()
        group.kill()
        assert killed(child)

    def test_everything_in_it_freezes(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(0, 0, 30))
        up(ground, group, FORK_BOMB)
        eventually(lambda: len(group.pids()) == 30)
        group.freeze()
        used = -1.0

        def still() -> bool:
            nonlocal used
            before, used = used, group.sample().cpu_seconds
            time.sleep(0.05)
            return before == used

        eventually(still)


class TestKilling:
    def test_no_fork_bomb_escapes(self, ground: Ground) -> None:
        group = ground.make()
        group.cap(Caps(0, 0, 200))
        up(ground, group, FORK_BOMB)
        eventually(lambda: len(group.pids()) > 50)
        group.kill()
        eventually(lambda: not group.pids())
        group.remove()
        assert not Path(group.join[0]).exists()

    def test_nothing_starts_in_it_again(self, ground: Ground) -> None:
        group = ground.make()
        group.kill()
        late = ground.start(group, "import os\ntry: os.fork()\nexcept OSError: print('no')\nelse: print('yes')")
        assert late.stdout is not None
        assert late.stdout.readline() != "yes\n"

    def test_closing_kills_and_removes_everything(self, ground: Ground) -> None:
        group = ground.make()
        pid = up(ground, group, SLEEP)
        ground.cgroups.close()
        assert not alive(pid)
        assert [path for path in group.join if Path(path).exists()] == []
        ground.cgroups = open_cgroups(ground.name)

    def test_after_closing_we_are_where_we_were(self, ground: Ground) -> None:
        ground.cgroups.close()
        before = Path("/proc/self/cgroup").read_text()
        ground.cgroups = open_cgroups(ground.name)
        ground.make().remove()
        ground.cgroups.close()
        assert Path("/proc/self/cgroup").read_text() == before
        assert f"/{ground.name}" not in before
        ground.cgroups = open_cgroups(ground.name)

    def test_what_a_killed_daemon_left_is_killed_and_removed_at_the_next_start(self, ground: Ground) -> None:
        group = ground.make()
        pid = up(ground, group, SLEEP)
        group.freeze()
        again = open_cgroups(ground.name)
        assert not alive(pid)
        assert not Path(group.join[0]).exists()
        assert again.make("guests", "new").pids() == []

    def test_what_does_not_end_is_not_waited_for_forever(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control, "CLEAR_SECONDS_MAX", 0.1)
        group = ground.make()
        home = [Path(path).parents[3] / Path(path).name for path in group.join]
        if ground.cgroups.version == 2:
            found, where = mounts(control.read("/proc/self/mountinfo")), places(control.read("/proc/self/cgroup"))
            home = [Path(mount.folder(where[""])) / "cgroup.procs" for mount in found if mount.version == 2]
        for path in group.join:
            Path(path).write_text("0")  # we ourselves: a start kills everyone but its own process
        try:
            with pytest.raises(SteadyError, match="do not end") as caught:
                ground.cgroups.close()
            assert caught.value.code == "cannot_start"
        finally:
            for file in home:
                file.write_text("0")


class TestStarving:
    @pytest.mark.parametrize("kind", HOGS)
    def test_a_hog_is_told_within_a_second_of_its_limit(self, ground: Ground, big_file: Path, kind: str) -> None:
        group = ground.make()
        group.cap(Caps(LIMIT, 0, 500))
        forget(big_file)
        assert run(self._told(ground, group, HOGS[kind], big_file, 1.0 * SCALE))
        eventually(lambda: not group.pids())

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", CACHES)
    def test_page_cache_is_not_starving(self, ground: Ground, big_file: Path, kind: str) -> None:
        group = ground.make()
        group.cap(Caps(LIMIT, 0, 500))
        forget(big_file)
        assert not run(self._told(ground, group, CACHES[kind], big_file, 1.5))
        assert len(group.pids()) == 1

    def test_at_the_ceiling_of_all_guests_only_who_was_killed_is_told(self, ground: Ground) -> None:
        ground.cgroups.close()
        ground.cgroups = open_cgroups(ground.name, Host(memory_bytes=512 * MIB, cpus=2))
        small, big = ground.make("guests", "small"), ground.make("guests", "big")
        pid = up(ground, small, "x = bytearray(b'x') * (40 << 20)\n" + SLEEP)
        told = []

        async def scenario() -> None:
            small.watch_memory(lambda: told.append("small"))
            big.watch_memory(lambda: told.append("big"))
            ground.start(big, HOGS["anonymous, in big steps"])
            async with asyncio.timeout(10 * SCALE):
                while not told:  # noqa: ASYNC110 - the watch has no event
                    await asyncio.sleep(0.005)
            await asyncio.sleep(2 * STEP_SECONDS)  # the kernel tells all of them, and each has to look

        run(scenario())
        assert told == ["big"]
        assert small.pids() == [pid]

    async def _told(self, ground: Ground, group: Group, code: str, file: Path, seconds: float) -> bool:
        """Whether it was told to be starving, and then killed, within `seconds` of first being at its limit."""
        told = asyncio.Event()

        def starving() -> None:
            group.kill()
            told.set()

        group.watch_memory(starving)
        ground.start(group, code, file, LIMIT - 10 * MIB)
        async with asyncio.timeout(20 * SCALE):
            while not told.is_set() and group.toll().memory_refusals == 0:  # noqa: ASYNC110 - the kernel's count
                await asyncio.sleep(0.005)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await told.wait()
        return told.is_set()
