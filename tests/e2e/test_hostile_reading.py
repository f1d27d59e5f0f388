"""An app that tries to read, reach and change what is not its own: another's, the daemon's, the host's.

Under a root daemon and under an ordinary user's, where all apps share one uid and only namespaces part them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import httpx
import pytest

from steadyd.runner.sandbox import TMP_BYTES_MAX
from tests.served import NOBODY, Daemon, as_ordinary_user, data_folder, remove

pytestmark = pytest.mark.sandbox

CANARY = "canary-of-the-daemon"
SECRET = "secret-of-the-victim"
SPY = (Path(__file__).parent / "spy.ts").read_text()
VICTIM = f"""
import {{ writeFileSync }} from "node:fs";
writeFileSync("own.txt", "{SECRET}");
const listens = 'Bun.listen({{ unix: "\\\\0steady-victim", socket: {{ data() {{}} }} }})';
Bun.spawn([process.execPath, "-e", listens], {{ env: {{ TOKEN: "{SECRET}" }} }});
export default {{ fetch: () => new Response("{SECRET}") }};
"""
GOLDEN = {
    "/": {"app", "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "steady", "tmp", "usr"},
    "/etc": {"group", "hosts", "localtime", "nsswitch.conf", "passwd", "resolv.conf"},
    "/run": {"steady"},
    "/run/steady": {"app.sock"},
    "/dev": {
        "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    },
    "/dev/pts": {"ptmx"},
    "/app": {"index.ts", "node_modules"},
}  # fmt: skip
"""All that may be seen outside of /usr, /proc and the engine: folder → names."""
OUTSIDE = (
    "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/root/.bashrc", "/root/.ssh/id_rsa", "/home", "/var/log",
    "/var/run/docker.sock", "/run/secrets", "/run/systemd/private", "/sys/kernel/notes", "/boot", "/proc/kcore",
    "/proc/kmsg", "/proc/timer_list", "/proc/cmdline", "/proc/interrupts", "/proc/slabinfo",
    "/proc/self/root/../etc/shadow", "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/core",
)  # fmt: skip
UNWRITABLE = (
    "/usr/bin/env", "/etc/passwd", "/etc/hosts", "/steady/bun", "/steady/harness.js", "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
    "/proc/sys/user/max_user_namespaces", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
    "/sys/kernel/uevent_helper", "/dev/kmsg",
)  # fmt: skip
UNMAKEABLE = ("/x", "/usr/x", "/etc/x", "/steady/x", "/run/x", "/dev/x", "/proc/x", "/sys/fs/cgroup/x", "/var", "/home")
REFUSALS = {"EACCES", "EPERM", "EROFS", "ENOENT", "ENODEV", "ENXIO", "ETXTBSY"}


@dataclass
class Spy:
    """A guest's app that looks around for us."""

    daemon: Daemon
    victim: int
    """The host's pid of the other app's first process."""

    def look(self, what: str, **asked: Any) -> Any:
        answer = self.daemon.ask("spy", method="POST", json={"look": what, **asked})
        assert answer.status_code == 200, answer.text
        return answer.json()["found"]


@pytest.fixture(scope="module", params=["root", "user"])
def spy(request: pytest.FixtureRequest) -> Iterator[Spy]:
    before: tuple[str, ...] = ()
    data = data_folder()
    if request.param == "user" and os.geteuid() == 0:
        before = (*as_ordinary_user()[:-4], f"STEADY_CANARY={CANARY}", *as_ordinary_user()[-4:])
        os.chown(data.parent, NOBODY, NOBODY)
    elif request.param == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    else:
        before = ("/usr/bin/env", f"STEADY_CANARY={CANARY}")  # executed: its variables are seen in /proc
    daemon = Daemon(data, before=before)
    try:
        daemon.create("victim", {"index.ts": VICTIM})
        assert daemon.ask("victim").text == SECRET
        (victim, *_) = sorted(daemon.instances())
        headers = {"Host": "localhost", "Content-Type": "text/plain"}
        made = httpx.post(f"{daemon.url}/api/apps?name=spy", content=SPY, headers=headers, timeout=60)
        assert made.status_code == 201, made.text
        yield Spy(daemon, victim)
        assert daemon.ask("victim").text == SECRET
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(data)


def test_what_can_be_seen_is_the_golden_list(spy: Spy) -> None:
    """N5, N2: its own files, its own socket, a bare system."""
    for path in spy.look("tree"):
        path, _, problem = path.partition(" ")
        folder, _, name = path.rpartition("/")
        if problem:
            assert (path, problem) == ("/run/steady", "EACCES"), "sealed once it listens"
        else:
            assert name in GOLDEN[folder or "/"], path


def test_files_of_the_host_the_daemon_and_others_are_not_there(spy: Spy) -> None:
    """N5: directly, and through links of its own."""
    ours = [spy.daemon.data / name for name in ("steady.db", "operator.token", "url", "lock", "blobs")]
    theirs = [*(spy.daemon.data / "apps").glob("*/app/own.txt"), *(spy.daemon.data / "apps").glob("*/logs/*")]
    assert len(theirs) >= 2
    source = Path(__file__).resolve().parents[2] / "steadyd" / "daemon.py"
    paths = [*OUTSIDE, *map(str, (*ours, *theirs, source, spy.daemon.data)), f"/proc/{spy.victim}/root/app/own.txt"]
    for look in ("files", "links"):
        found = spy.look(look, paths=paths)
        assert set(found.values()) <= REFUSALS, {path: told for path, told in found.items() if told not in REFUSALS}


def test_processes_of_others_are_neither_seen_nor_reached(spy: Spy) -> None:
    """N3: only its own are in /proc, they tell nothing of the host, and nobody else can be signalled."""
    processes = spy.look("processes")
    assert 2 <= len(processes) <= 3
    for process in processes:
        for secret in (CANARY, SECRET, "STEADY_CANARY", "operator.token"):
            assert secret not in process["told"]
        places = set(process["places"])
        assert places <= {"/", "/app", "/steady/bun", "/usr/bin/bwrap", "EACCES"}, places
        groups = re.findall(r"^\d+:[^:\n]*:(/.*)$", process["told"], re.MULTILINE)
        assert set(groups) == {"/"}, "a control group's own view"
        for target in process["open"] if isinstance(process["open"], list) else []:
            assert not target.startswith((str(spy.daemon.data), "/root", "/home", "/etc/")), target
    others = [spy.victim, spy.daemon.process.pid, os.getpid()]
    assert set(map(tuple, spy.look("signals", pids=others).values())) == {(False, "ESRCH")}
    assert set(spy.look("everywhere")) <= GOLDEN["/"]


def test_the_daemon_s_environment_is_nowhere(spy: Spy) -> None:
    assert CANARY in Path(f"/proc/{spy.daemon.process.pid}/environ").read_text(), "there is something to find"
    environ = spy.look("environ")
    assert not [name for name in environ if "CANARY" in name or "STEADYD" in name]
    assert CANARY not in str(environ)


def test_sockets_of_others_are_not_reached(spy: Spy) -> None:
    """N2: another app's and the host's abstract ones, the control plane's and the apps' by path, the daemon's port."""
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind("\0steady-host")
        ours.listen()
        parents = ("/run/steadyd", f"/tmp/steadyd-{NOBODY}", os.environ.get("XDG_RUNTIME_DIR", "/nowhere"))
        paths = {path for parent in parents for path in glob(f"{parent}/steadyd-*/*/**/*.sock", recursive=True)}
        assert len(paths) >= 3, "the control plane's and two apps'"
        targets: list[dict[str, Any]] = [
            {"path": path} for path in ("\0steady-victim", "\0steady-host", *sorted(paths))
        ]
        targets += [{"host": host, "port": spy.daemon.port} for host in ("127.0.0.1", "::1", "0.0.0.0")]
        found = spy.look("sockets", targets=targets)
        assert "reached" not in found, list(zip(targets, found, strict=True))
        unix = spy.look("unix")
        assert "steady-victim" not in unix
        assert "steady-host" not in unix
        assert not any(path in unix for path in paths)


@pytest.fixture
def shared() -> Iterator[int]:
    """Memory, semaphores and queues on the host that everybody may use, by key (svipc(7), mq_overview(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    key, everybody = 0x57EAD1 + os.getpid(), 0o1666
    with ExitStack() as closing:
        made = [libc.shmget(key, 4096, everybody), libc.semget(key, 1, everybody), libc.msgget(key, everybody)]
        for number, remove_it in zip(made, (libc.shmctl, libc.semctl, libc.msgctl), strict=True):
            assert number >= 0, os.strerror(ctypes.get_errno())
            closing.callback(remove_it, number, 0, 0)
        path = Path(f"/dev/shm/steady-{key}")
        path.write_text(SECRET)
        path.chmod(0o666)
        closing.callback(path.unlink)
        queue = f"/steady-{key}".encode()
        descriptor = libc.mq_open(queue, os.O_CREAT | os.O_RDWR, 0o666, None)
        assert descriptor >= 0, os.strerror(ctypes.get_errno())
        closing.callback(os.close, descriptor)
        closing.callback(libc.mq_unlink, queue)
        yield key


def test_memory_and_queues_of_the_host_are_not_shared(spy: Spy, shared: int) -> None:
    """N3: --unshare-ipc, and a /dev/shm of its own."""
    enoent = 2
    found = spy.look("memory", key=shared)
    assert found == {"shm": enoent, "sem": enoent, "msg": enoent, "shm_file": False, "listed": [0, 0, 0]}
    number = {"x86_64": 240, "aarch64": 180}[platform.machine()]
    assert spy.look("queue", name=f"steady-{shared}", number=number) == enoent


def test_nothing_of_the_system_can_be_changed(spy: Spy) -> None:
    """N4, N6: neither the read-only system, nor the kernel's settings, nor a cgroup's, nor a device made."""
    written = spy.look("writes", paths=UNWRITABLE)
    assert set(written.values()) <= REFUSALS, written
    made = spy.look("makes", paths=UNMAKEABLE)
    assert set(made.values()) <= REFUSALS, made
    eperm = 1
    assert spy.look("devices") == [eperm, eperm]
    assert spy.look("scores") == ["EACCES", "EACCES"]


def test_its_own_version_cannot_be_changed(spy: Spy) -> None:
    """N6: by its uid's rights, or by a read-only bind where all share one."""
    shipped = spy.look("shipped")
    assert shipped.pop("still") == len(SPY.encode())
    assert set(shipped.values()) <= {*REFUSALS, "EBUSY"}, shipped


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_what_lies_in_memory_fills_up_soon(folder: str, spy: Spy) -> None:
    """N6."""
    mebibytes, why = spy.look("fill", folder=folder)
    assert (mebibytes <= TMP_BYTES_MAX >> 20, why) == (True, "ENOSPC")
