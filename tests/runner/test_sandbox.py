"""The sandbox's policy: as words, and as what a program really finds inside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import sandbox
from steadyd.runner.engine import Engine
from steadyd.runner.launcher import Launcher
from steadyd.runner.process import Confinement, spawn
from steadyd.runner.sandbox import Network, Room, System, bare, check_installed, look_at_system, options
from tests.runner.conftest import UID, Stage, alive, ask, exchange, needs_root, passable_folder, run, stage, until

SYSTEM = System({"bin": "usr/bin", "lib": "usr/lib", "sbin": ""})
HOST = Path("/host/secret/place")
ROOM = Room(HOST / "app", HOST / "engine", 1_900_000_001, {"KEY": "value"}, runtime=HOST / "run")


def binds(words: list[str]) -> dict[str, tuple[str, str]]:
    """What is seen inside: inner path → (how, host path)."""
    kinds = ("--bind", "--ro-bind", "--ro-bind-try")
    return {words[n + 2]: (word, words[n + 1]) for n, word in enumerate(words) if word in kinds}


def test_nothing_is_shared_but_what_is_named() -> None:
    words = options(ROOM, SYSTEM)
    for space in ("user", "ipc", "pid", "uts", "net"):
        assert f"--unshare-{space}" in words
    assert ("--cap-drop", "ALL") in list(pairwise(words))
    assert {"--die-with-parent", "--new-session"} <= set(words)


def test_only_the_app_s_own_places_can_be_written() -> None:
    writable = {inner for inner, (how, _) in binds(options(ROOM, SYSTEM)).items() if how == "--bind"}
    assert writable == {sandbox.APP, sandbox.RUNTIME}
    assert ("--remount-ro", "/") in list(pairwise(options(ROOM, SYSTEM)))


def test_host_paths_appear_as_sources_only() -> None:
    words = options(ROOM, SYSTEM)
    inside = [inner for inner in binds(words) if str(HOST) in inner]
    assert inside == []
    assert not any(str(HOST) in word for word in words[-6:]), "not in the environment"


def test_dependencies_and_protected_names_are_read_only() -> None:
    room = Room(HOST / "app", HOST / "engine", None, modules=HOST / "modules", read_only=("index.ts",))
    seen = binds(options(room, SYSTEM))
    assert seen["/app/node_modules"] == ("--ro-bind", str(HOST / "modules"))
    assert seen["/app/index.ts"] == ("--ro-bind", str(HOST / "app" / "index.ts"))


def test_nothing_gets_the_network_of_the_host() -> None:
    """Only who has entered another namespace before keeps it."""
    assert "--unshare-net" in options(ROOM, SYSTEM)
    assert "--unshare-net" not in options(replace(ROOM, network="entered"), SYSTEM)
    assert get_args(Network) == ("own", "entered")


def test_what_is_shown_is_read_only() -> None:
    seen = binds(options(replace(ROOM, shown={"/shown": HOST / "shown"}), SYSTEM))
    assert seen["/shown"] == ("--ro-bind", str(HOST / "shown"))


def test_the_private_tmp_is_limited() -> None:
    pairs = list(pairwise(options(ROOM, SYSTEM)))
    assert ("--size", str(sandbox.TMP_BYTES_MAX)) in pairs
    assert ("--tmpfs", "/tmp") in pairs


@needs_root
@pytest.mark.parametrize("launched", [False, True])
def test_the_uid_is_taken_before_bubblewrap_runs(launched: bool) -> None:
    """Bubblewrap run by root is root on the host: whatever is executed as an app has its ids, all of them, nothing
    else, and cannot gain more; started directly or by the parent process."""
    uid = 1_900_000_001
    told = "Uid Gid Groups CapPrm CapEff CapAmb NoNewPrivs".split()

    async def body() -> None:
        launcher = Launcher()
        await launcher.open()
        reading, writing = os.pipe()
        start = launcher.spawn if launched else spawn
        ended = (await start(["/bin/cat", "/proc/self/status"], {}, {1: writing}, Confinement(uid))).ended
        os.close(writing)
        assert (await ended).code == 0
        rows = [line.split(":") for line in os.read(reading, 65_536).decode().splitlines()]
        os.close(reading)
        assert {name: value.split() for name, value in rows if name in told} == {
            "Uid": [str(uid)] * 4,
            "Gid": [str(uid)] * 4,
            "Groups": [],
            "CapPrm": ["0" * 16],
            "CapEff": ["0" * 16],
            "CapAmb": ["0" * 16],
            "NoNewPrivs": ["1"],
        }
        ours = (await start(["/bin/sh", "-c", "test $(id -u) = 0"], {}, {})).ended
        assert (await ours).code == 0, "the next child is ourselves again"
        await launcher.close()

    asyncio.run(body())


def test_without_a_sandbox_a_child_still_dies_with_the_daemon_and_loses_its_privileges() -> None:
    words = bare(HOST, 1_900_000_001, linux=True)
    assert {"--no-new-privs", "--reuid=1900000001", "--pdeathsig"} <= set(words)
    assert bare(HOST, None, linux=False)[0] == "/bin/sh"


def test_system_links_are_this_host_s() -> None:
    found = look_at_system().links
    assert "bin" in found
    assert all(os.path.islink(f"/{name}") == bool(target) for name, target in found.items())


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "BWRAP", "/no/bwrap")
    with pytest.raises(SteadyError, match="apt-get install bubblewrap") as caught:
        check_installed()
    assert caught.value.code == "cannot_start"


# ------------------------------------------------------------------------------------------------- seen from inside

SECRET = "canary-of-the-daemon"
LOOKS = (Path(__file__).parent / "looks.ts").read_text()


@pytest.fixture(scope="module")
def inside(bun: Engine) -> Iterator[dict[str, Any]]:
    """What an instance finds when it looks around, and what the host sees of it meanwhile."""
    os.environ["STEADY_TEST_SECRET"] = SECRET
    with passable_folder() as root, _listening() as port, _abstract_socket():
        try:
            yield {**run(_look_around(root, bun, port)), "root": str(root)}
        finally:
            del os.environ["STEADY_TEST_SECRET"]


async def _look_around(root: Path, bun: Engine, port: int) -> dict[str, Any]:
    async with stage(root, bun) as ground:
        runtime = ground.runtime(ground.plan(LOOKS))
        status, body = await ask(runtime, f"/?pid={os.getpid()}&port={port}")
        assert (status, runtime.instance is not None) == (200, True)
        assert runtime.instance is not None
        seen: dict[str, Any] = json.loads(body)
        folder = Path(runtime.instance.address).parent
        seen["family"] = {pid: os.stat(f"/proc/{pid}") for pid in _descendants(runtime.instance.process.pid)}
        seen["socket_folder"] = (folder.stat(), sorted(path.name for path in folder.iterdir()))
        return seen


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        found += [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return found


@contextlib.contextmanager
def _listening() -> Iterator[int]:
    """Something on the host's loopback that nobody inside may reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def _abstract_socket() -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0steady-test")
        server.listen()
        yield


def status_of(inside: dict[str, Any]) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in inside["status"].splitlines() if ":\t" in line)


@pytest.mark.sandbox
def test_inside_one_is_user_1000_without_groups(inside: dict[str, Any]) -> None:
    """--uid, --gid, --clear-groups."""
    uid, gid, groups = inside["ids"]
    assert (uid, gid) == (1000, 1000)
    assert set(groups) <= {1000, 65534}
    assert "app:x:1000:1000" in inside["passwd"]


@pytest.mark.sandbox
@needs_root
def test_on_the_host_every_process_of_it_is_the_app_s_uid(inside: dict[str, Any]) -> None:
    """setpriv before bubblewrap: nothing of it is root, not even bubblewrap."""
    assert len(inside["family"]) >= 3
    assert {(found.st_uid, found.st_gid) for found in inside["family"].values()} == {(UID, UID)}


@pytest.mark.sandbox
def test_no_privilege_can_be_had(inside: dict[str, Any]) -> None:
    """--cap-drop ALL, --no-new-privs: for itself and for its children."""
    for text in (inside["status"], inside["child"]):
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == ["0" * 16] * 5
        assert status["NoNewPrivs"] == "1"


@pytest.mark.sandbox
def test_a_new_network_namespace_cannot_be_had_either(inside: dict[str, Any]) -> None:
    assert inside["child"].splitlines()[-1] != "0"


@pytest.mark.sandbox
def test_other_processes_are_neither_seen_nor_reached(inside: dict[str, Any]) -> None:
    """--unshare-pid: only its own init, itself and its threads."""
    pids = [int(process["pid"]) for process in inside["processes"]]
    assert 1 in pids
    assert len(pids) <= 3
    assert inside["signal"] == "ESRCH"


@pytest.mark.sandbox
def test_nothing_in_proc_tells_of_the_host(inside: dict[str, Any]) -> None:
    """An empty environment and --args: neither a variable of the daemon nor a path of the host."""
    said = " ".join(process["environ"] + process["cmdline"] for process in inside["processes"])
    for secret in (SECRET, "STEADY_TEST", inside["root"], str(Path.home()), sys.prefix):
        assert secret not in said or secret == "/usr"
    assert "--bind" not in said


@pytest.mark.sandbox
def test_its_environment_is_what_it_was_given(inside: dict[str, Any]) -> None:
    """--setenv for each, and the harness takes its own two away."""
    given = "PATH HOME LANG NODE_ENV PORT BUN_RUNTIME_TRANSPILER_CACHE_PATH STEADY_APP STEADY_ENV"
    assert set(inside["environ"]) - {"PWD"} == set(given.split())


@pytest.mark.sandbox
def test_what_mountinfo_tells_is_where_its_own_places_lie(inside: dict[str, Any]) -> None:
    """The kernel names the source of every bind there (proc(5)) and nothing can hide it: so these are neutral ids,
    never a name, and there is no mount beyond the policy."""
    sources = {line.split()[4]: line.split()[3] for line in inside["mounts"]}
    system = ("/usr", "/bin", "/sbin", "/lib", "/etc", "/proc", "/dev", "/tmp")
    own = {point: source for point, source in sources.items() if not point.startswith(system)}
    assert set(own) == {"/", "/app", "/steady", "/run/steady"}
    assert [Path(own[point]).name for point in ("/app", "/run/steady")] == ["app-2", "1"]
    assert not any(inside["root"] in source for point, source in sources.items() if point not in own)


@pytest.mark.sandbox
def test_it_inherits_no_descriptor_of_the_daemon(inside: dict[str, Any]) -> None:
    known = (
        "/dev/null",
        "pipe:",
        "socket:",
        "anon_inode:",
        "/app",
        "/proc",
        "/steady",
        "/dev/urandom",
        "/usr",
        "/memfd",
    )
    open_ones = [target for target in inside["descriptors"] if target != "ENOENT"]  # the listing's own was closed
    assert [target for target in open_ones if not target.startswith(known)] == []
    assert not any(inside["root"] in target for target in inside["descriptors"])


@pytest.mark.sandbox
def test_there_is_no_network(inside: dict[str, Any]) -> None:
    """--unshare-net: neither the host's loopback, nor the world, nor its abstract sockets."""
    assert inside["interfaces"] == ["lo"]
    assert "connected" not in inside["connections"]
    assert "steady-test" not in inside["unix"]


@pytest.mark.sandbox
def test_it_shares_no_memory_and_no_name_with_the_host(inside: dict[str, Any]) -> None:
    """--unshare-ipc, --unshare-uts, --hostname."""
    assert inside["hostname"] == "steady"
    assert inside["shared"] == 0


@pytest.mark.sandbox
def test_it_has_no_terminal(inside: dict[str, Any]) -> None:
    """--new-session: nothing can be typed into the operator's terminal (TIOCSTI, CVE-2017-5226)."""
    assert "not a tty" in inside["child"]
    _, _, _, session, terminal, *_ = inside["stat"].rpartition(")")[2].split()
    assert (session, terminal) == ("1", "0")


@pytest.mark.sandbox
def test_only_its_own_places_can_be_written(inside: dict[str, Any]) -> None:
    """--ro-bind, --remount-ro /."""
    done = {path for path, outcome in inside["writes"].items() if outcome == "done"}
    assert done == {"/app/x", "/tmp/x"} | ({"/run/steady/x"} if UID is None else set())
    assert inside["writes"]["/usr/x"] in ("EROFS", "EACCES")


@pytest.mark.sandbox
def test_it_sees_its_own_files_and_a_bare_system(inside: dict[str, Any]) -> None:
    lists = inside["lists"]
    assert set(lists["/"]) <= {
        "app", "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "steady", "tmp", "usr",
    }  # fmt: skip
    assert lists["/run"] == ["steady"]
    assert set(lists["/etc"]) <= {"group", "hosts", "localtime", "nsswitch.conf", "passwd", "resolv.conf"}
    assert [lists[path] for path in ("/home", "/root", "/var")] == ["ENOENT"] * 3
    assert not {"sda", "vda", "kmsg", "kvm", "mem", "fuse"} & set(lists["/dev"])
    assert inside["cwd"] == "/app"


@pytest.mark.sandbox
def test_its_tmp_is_its_own_and_small(inside: dict[str, Any]) -> None:
    assert inside["tmp"] == [[], sandbox.TMP_BYTES_MAX]


@pytest.mark.sandbox
def test_its_socket_folder_is_its_own_and_taken_away_once_it_listens(inside: dict[str, Any]) -> None:
    found, names = inside["socket_folder"]
    assert names == ["app.sock"] or UID is None
    assert inside["lists"]["/run/steady"] in (["app.sock"], "EACCES") or UID is None
    if UID is not None:
        assert (found.st_uid, found.st_mode & 0o777) == (0, 0o711)


# ------------------------------------------------------------------------------------------------- its end

LEAVES_CHILDREN = """
Bun.spawn(["sleep", "MARK1"]);
Bun.spawn(["setsid", "sh", "-c", "setsid sleep MARK2 & sleep MARK3"]);
process.on("SIGTERM", () => {});
"""
"""A child, a child in a session of its own, and an orphan beside that."""
PARENT = """
import asyncio, sys, uvloop
from pathlib import Path
from steadyd.runner.engine import Engine
from tests.runner.conftest import HELLO, Stage

async def main():
    root = Path(sys.argv[1])
    stage = Stage(root, Engine(Path(sys.argv[2]), "x"), sys.argv[3] == "True")
    runtime = stage.runtime(stage.plan(sys.argv[4] + HELLO))
    await runtime.wake()
    print("up", flush=True)
    await asyncio.sleep(60)

uvloop.run(main())
"""


def marked() -> tuple[str, list[str]]:
    """The app above with sleeps that can be found again."""
    marks = [f"{os.getpid() % 10000}{time.monotonic_ns() % 10**9}.{number}" for number in (1, 2, 3)]
    code = LEAVES_CHILDREN
    for number, mark in enumerate(marks, 1):
        code = code.replace(f"MARK{number}", mark)
    return code, marks


def none_alive(words: list[str]) -> Callable[[], bool]:
    return lambda: not any(alive(word) for word in words)


@pytest.mark.sandbox
def test_everything_that_an_instance_started_ends_with_it(root: Path, bun: Engine) -> None:
    """Children, sessions of their own, orphans: they die with the namespace, also when SIGTERM is ignored."""
    code, marks = marked()

    async def body() -> None:
        async with stage(root, bun) as ground:
            runtime = ground.runtime(ground.plan(code + 'export default { fetch: () => new Response("x") };'))
            await runtime.wake()
            await until(lambda: all(alive(mark) for mark in marks))
            await runtime.sleep()
            await until(none_alive(marks))

    run(body())


@pytest.mark.parametrize("sandboxed", [pytest.param(True, marks=pytest.mark.sandbox), False])
def test_nothing_is_left_when_the_daemon_is_killed(root: Path, bun: Engine, sandboxed: bool) -> None:
    """Promise 4: --die-with-parent, and PR_SET_PDEATHSIG where there is no sandbox."""
    code, marks = marked() if sandboxed else ("", [])
    words = [sys.executable, "-c", PARENT, str(root), str(bun.folder), str(sandboxed), code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        ready, _, _ = select.select([parent.stdout], [], [], 20)
        assert ready
        assert parent.stdout.readline() == b"up\n"
        pids = _descendants(parent.pid)[1:]
        assert pids
        parent.send_signal(signal.SIGKILL)
    run(until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids) and none_alive(marks)()))


# ------------------------------------------------------------------------------------------------- two apps


@pytest.mark.sandbox
@needs_root
def test_an_app_cannot_touch_another_s_files_or_socket(root: Path, bun: Engine) -> None:
    """Not even from outside the namespaces: on the host they are two users."""

    async def body() -> None:
        async with stage(root, bun) as ground:
            await _two_users(ground)

    run(body())


async def _two_users(ground: Stage) -> None:
    runtime = ground.runtime(ground.plan('export default { fetch: () => new Response("mine") };'))
    await runtime.wake()
    assert runtime.instance is not None
    address = runtime.instance.address
    assert await exchange(address) == (200, "mine")
    assert UID is not None
    program = f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})"
    words = ["setpriv", f"--reuid={UID + 1}", f"--regid={UID + 1}", "--clear-groups", "/usr/bin/python3", "-c", program]
    tried = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False)
    assert "PermissionError" in tried.stderr
