"""Children started through their parent process, and what becomes of them when the daemon dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import launcher as module
from steadyd.runner.launcher import Launcher
from steadyd.runner.parent import DESCRIPTORS_PER_REQUEST_MAX, PACKET_BYTES_MAX, descendants
from steadyd.runner.process import Confinement, Exit
from tests.served import ROOT, until

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")]
SECONDS_MAX = 10.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may confine so")


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(body, SECONDS_MAX))


@contextlib.asynccontextmanager
async def opened() -> Any:
    launcher = Launcher()
    await launcher.open()
    try:
        yield launcher
    finally:
        await launcher.close()


async def shell(launcher: Launcher, text: str, descriptors: dict[int, int] | None = None) -> Any:
    return await launcher.spawn(["/bin/sh", "-c", text], {"WORD": "told"}, descriptors or {})


async def ended(launcher: Launcher, text: str) -> Any:
    return await (await shell(launcher, text)).ended


def alive(mark: str) -> bool:
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                return True
    return False


def test_how_each_child_ended_is_told() -> None:
    async def body() -> None:
        async with opened() as launcher:
            ends = [await shell(launcher, f"exit {code}") for code in range(20)]
            assert [await process.ended for process in ends] == [Exit(code, None) for code in range(20)]
            assert await ended(launcher, "kill -9 $$") == Exit(None, "SIGKILL")
            sleeper = await shell(launcher, "sleep 100")
            assert await sleeper.stop(1.0) == Exit(None, "SIGTERM")
            stubborn = await shell(launcher, "trap '' TERM; while :; do sleep 0.01; done")
            await asyncio.sleep(0.1)
            assert await stubborn.stop(0.1) == Exit(None, "SIGKILL")

    run(body())


def test_descriptors_get_their_numbers_and_no_other_is_there() -> None:
    async def body() -> None:
        reading, writing = os.pipe()
        async with opened() as launcher:
            done = await shell(launcher, "echo $WORD >&7; ls /proc/self/fd >&7", {7: writing})
            os.close(writing)
            await done.ended
        with os.fdopen(reading) as file:
            words = file.read().split()
        assert words[0] == "told"
        assert set(words[1:]) <= {"0", "1", "2", "3", "7"}, "3 is what ls itself opened"

    run(body())


def test_what_cannot_be_started_says_so_and_harms_nothing() -> None:
    async def body() -> None:
        async with opened() as launcher:
            with pytest.raises(SteadyError, match="No such file"):
                await launcher.spawn(["/no/such/program"], {}, {})
            with pytest.raises(SteadyError) as caught:
                await launcher.spawn(["/bin/true", "x" * 3 * PACKET_BYTES_MAX], {}, {})
            assert caught.value.code == "cannot_start"
            with pytest.raises(SteadyError, match="descriptors"):
                await shell(launcher, "true", dict.fromkeys(range(20, 21 + DESCRIPTORS_PER_REQUEST_MAX), 1))
            assert await ended(launcher, "exit 3") == Exit(3, None)

    run(body())


def test_a_child_whose_end_comes_with_its_answer_is_known() -> None:
    """Both packets are there before the loop reads the first."""

    async def body() -> None:
        async with opened() as launcher:
            asking = asyncio.ensure_future(shell(launcher, "exit 1"))
            await asyncio.sleep(0)
            time.sleep(0.2)  # noqa: ASYNC251 - the loop cannot run meanwhile
            process = await asking
            assert await process.ended == Exit(1, None)

    run(body())


def test_the_loop_goes_on_while_a_child_is_made() -> None:
    async def body() -> None:
        async with opened() as launcher:
            began = time.perf_counter()
            asking = asyncio.ensure_future(shell(launcher, "exit 4"))
            await asyncio.sleep(0)
            stalled = time.perf_counter() - began
            process = await asking
            assert stalled < (time.perf_counter() - began) / 2
            assert await process.ended == Exit(4, None)

    run(body())


def test_who_stops_waiting_for_a_child_leaves_none() -> None:
    """Before its answer is there, and after, when only the asker has not yet run."""
    marks = [f"{time.monotonic_ns()}.{number}" for number in (7, 8)]

    async def body() -> None:
        async with opened() as launcher:
            early = asyncio.ensure_future(shell(launcher, f"exec sleep {marks[0]}"))
            await asyncio.sleep(0)
            early.cancel()
            late = asyncio.ensure_future(shell(launcher, f"exec sleep {marks[1]}"))
            while not launcher._started:  # noqa: ASYNC110 - the very turn in which the answer was read
                await asyncio.sleep(0)
            late.cancel()
            for asking in (early, late):
                with pytest.raises(asyncio.CancelledError):
                    await asking
            async with asyncio.timeout(SECONDS_MAX):
                while any(map(alive, marks)):  # noqa: ASYNC110 - another process's end is no event of this loop
                    await asyncio.sleep(0.01)
            assert launcher._started == {}

    run(body())


def test_a_killed_parent_process_is_replaced_and_its_children_are_gone() -> None:
    async def body() -> None:
        async with opened() as launcher:
            mark = f"{time.monotonic_ns()}.5"
            orphan = await shell(launcher, f"sleep {mark}")
            os.kill(launcher._parent.pid, signal.SIGKILL)
            assert await orphan.ended == Exit(None, "SIGKILL")
            async with asyncio.timeout(SECONDS_MAX):
                while True:
                    with contextlib.suppress(SteadyError):
                        assert await ended(launcher, "exit 4") == Exit(4, None)
                        break
                    await asyncio.sleep(0.01)

    run(body())


def test_a_parent_process_that_does_not_come_up_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "parent.py"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(module, "PROGRAM", program)
    monkeypatch.setattr(module, "UP_SECONDS_MAX", 0.2)

    async def body() -> None:
        launcher = Launcher()
        with pytest.raises(SteadyError, match="does not start"):
            await launcher.open()
        launcher._parent.kill()  # type: ignore[union-attr]
        await launcher.close()

    run(body())


def test_a_parent_process_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with opened() as launcher:
            os.kill(launcher._parent.pid, signal.SIGSTOP)
            with pytest.raises(SteadyError, match=r"timed out|in time"):
                await shell(launcher, "true")
            mark = f"{time.monotonic_ns()}.6"
            with pytest.raises(SteadyError):
                await shell(launcher, f"exec sleep {mark}")
            os.kill(launcher._parent.pid, signal.SIGCONT)
            assert await ended(launcher, "exit 6") == Exit(6, None), "a late answer is nobody else's"
            async with asyncio.timeout(SECONDS_MAX):
                while alive(mark):  # noqa: ASYNC110 - another process's end is no event of this loop
                    await asyncio.sleep(0.01)

    run(body())


async def output(launcher: Launcher, text: str, confinement: Confinement) -> str:
    reading, writing = os.pipe()
    process = await launcher.spawn(["/bin/sh", "-c", text], {}, {1: writing}, confinement)
    os.close(writing)
    await process.ended
    with os.fdopen(reading) as file:
        return file.read().strip()


def test_a_child_has_its_limits_from_the_start() -> None:
    async def body() -> None:
        async with opened() as launcher:
            limits = ((resource.RLIMIT_NOFILE, 77), (resource.RLIMIT_CORE, 0))
            text = "ulimit -n; ulimit -Hn; ulimit -c"
            assert await output(launcher, text, Confinement(limits=limits)) == "77\n77\n0"

    run(body())


@needs_root
def test_a_child_enters_the_namespaces_that_it_is_given() -> None:
    async def body(pid: int, namespace: int) -> None:
        async with opened() as launcher:
            text = "id -u; readlink /proc/self/ns/net"
            told = await output(launcher, text, Confinement(65534, namespaces=(namespace,)))
            assert told == f"65534\n{os.readlink(f'/proc/{pid}/ns/net')}"
            assert told != await output(launcher, text, Confinement(65534))

    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        namespace = os.open(f"/proc/{other.pid}/ns/net", os.O_RDONLY)
        run(body(other.pid, namespace))
        os.close(namespace)
        other.kill()


@needs_root
def test_a_child_is_in_its_cgroup_from_the_start_or_is_not_started() -> None:
    folder = Path("/sys/fs/cgroup/pids", f"steadyd-test-{os.getpid()}")
    if not folder.parent.is_dir():
        pytest.skip("no cgroup of version 1 here; version 2 is tested in a machine of its own")

    async def body() -> None:
        async with opened() as launcher:
            confinement = Confinement(join=(str(folder / "tasks"),))
            assert f":pids:/{folder.name}" in await output(launcher, "cat /proc/self/cgroup", confinement)
            with pytest.raises(SteadyError, match="No such file"):
                await launcher.spawn(["/bin/true"], {}, {}, Confinement(join=(f"{folder}/nothing/tasks",)))

    folder.mkdir()
    try:
        run(body())
    finally:
        folder.rmdir()


@needs_root
def test_a_folder_is_bound_into_a_running_sandbox_with_its_owner_translated() -> None:
    """Whoever runs there as one uid works in the folder as another, root's files stay root's, and nothing else of the
    host comes along."""
    owner, worker = 1_900_000_055, 1_899_900_055

    async def body(folder: Path) -> None:
        async with opened() as launcher:
            reading, writing = os.pipe()
            words = f"""/usr/bin/setpriv --reuid={worker} --regid={worker} --clear-groups /usr/bin/bwrap --unshare-user
                --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64
                --dir /app --dir /more -- /bin/sh -c"""
            text = "echo; read x; cd /app; id -u; stat -c %u root owned; >new; >root; >/more/new; ls /more"
            inside, outside = os.pipe()
            process = await launcher.spawn([*words.split(), text], {}, {0: inside, 1: writing, 2: writing})
            os.close(writing)
            assert os.read(reading, 1) == b"\n"
            pid = descendants(process.pid)[0]
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
            mounts = [(f"{folder}/app", "/app", True), (f"{folder}/more", "/more", False)]
            await launcher.bind(await launcher.spare(), (owner, worker), namespace, mounts)
            os.write(outside, b"go\n")
            await process.ended
            with os.fdopen(reading) as file:
                told = file.read().splitlines()
            assert told[:3] == [str(worker), "65534", str(worker)], "root has no name in there"
            assert [line.rpartition(": ")[2] for line in told[3:5]] == ["Permission denied", "Read-only file system"]
            assert told[5:] == ["shown"]
            assert (folder / "app/new").stat().st_uid == owner
            with pytest.raises(SteadyError, match="the spare has ended"):
                await launcher.bind(os.getpid(), (owner, worker), namespace, mounts)
            for descriptor in (namespace, inside, outside):
                os.close(descriptor)

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="steady-") as name:
        folder = Path(name)
        (folder / "app").mkdir()
        (folder / "more").mkdir()
        for path, uid in (("app/root", 0), ("app/owned", owner), ("more/shown", 0)):
            (folder / path).touch(0o444)
            os.chown(folder / path, uid, uid)
        os.chown(folder / "app", 0, owner)
        for path, mode in ((".", 0o711), ("app", 0o1775), ("more", 0o755)):
            (folder / path).chmod(mode)
        run(body(folder))


DAEMON = """
import asyncio, sys
from steadyd.runner.launcher import Launcher

async def main():
    launcher = Launcher()
    await launcher.open()
    for text in sys.argv[1:]:
        await launcher.spawn(["/bin/sh", "-c", text], {}, {})
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_outlives_a_killed_daemon() -> None:
    """Children, sessions of their own, double-forked orphans, and those that refuse to end."""
    marks = [f"{time.monotonic_ns()}.{number}" for number in range(4)]
    texts = [
        f"exec sleep {marks[0]}",
        f"setsid sleep {marks[1]} & wait",
        f"(setsid sh -c 'sleep {marks[2]}; true' &) ; exec sleep 61",
        f"trap '' TERM HUP INT; while :; do sleep {marks[3]}; done",
    ]
    with subprocess.Popen([sys.executable, "-c", DAEMON, *texts], stdout=subprocess.PIPE, cwd=ROOT) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        until(lambda: all(alive(mark) for mark in marks))
        daemon.kill()
    until(lambda: not any(alive(mark) for mark in marks), 2)
