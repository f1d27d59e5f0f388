"""Every argument of the sandbox is there for something: what a program finds with it, and without it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steadyd.linux import seccomp
from steadyd.runner import sandbox
from steadyd.runner.confined import filled
from steadyd.runner.engine import Engine
from steadyd.runner.process import Confinement, spawn
from steadyd.runner.sandbox import ARGS_FD, COMMAND, INFO_FD, MASKED, SECCOMP_FD, TMP_BYTES_MAX, Room, options
from tests.runner.conftest import UID, alive, needs_root, passable_folder, run, until

pytestmark = pytest.mark.sandbox
SCRIPT = "policy.ts"
SYSTEM = sandbox.look_at_system()
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def room(bun: Engine) -> Iterator[Room]:
    """One with everything that a room can have, all owned by the app but the script."""
    with passable_folder() as root:
        folders = {name: root / name for name in ("app", "run", "modules", "extra", "shown")}
        for folder in folders.values():
            folder.mkdir()
            (folder / "mark").write_text("")
            if UID is not None:
                os.chown(folder, UID, UID)
        (folders["app"] / SCRIPT).write_text((Path(__file__).parent / SCRIPT).read_text())
        environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "KEY": "value"}
        yield Room(
            folders["app"], bun.folder, UID, environ, folders["run"], folders["modules"],
            read_only=(SCRIPT,), extra={"/extra": folders["extra"]}, shown={"/shown": folders["shown"]},
        )  # fmt: skip


async def execute(words: Sequence[str], command: Sequence[str], uid: int | None) -> tuple[int | None, bytes, bytes]:
    """Run `command` in the sandbox that `words` make: exit code, what it said, what bubblewrap told."""
    with ExitStack() as closing:
        output, info = os.pipe(), os.pipe()
        args = filled(b"".join(word.encode() + b"\0" for word in words))
        rules = filled(seccomp.program())
        for descriptor in (output[0], info[0], args, rules):
            closing.callback(os.close, descriptor)
        descriptors = {1: output[1], 2: output[1], ARGS_FD: args, INFO_FD: info[1], SECCOMP_FD: rules}
        process = await spawn([*COMMAND, *command], {}, descriptors, Confinement(uid))
        os.close(output[1])
        os.close(info[1])
        said = await asyncio.to_thread(os.read, output[0], 1 << 16)
        told = await asyncio.to_thread(os.read, info[0], 1 << 10)
        return (await process.ended).code, said, told


def look(words: Sequence[str], uid: int | None = UID) -> Facts:
    """What the script finds in there; {} if it never ran."""
    bun = [f"{sandbox.ENGINE}/bun", "--no-install", f"{sandbox.APP}/{SCRIPT}"]
    code, said, _ = run(execute(words, bun, uid))
    return dict(json.loads(said)) if code == 0 and said.startswith(b"{") else {}


def without(words: Sequence[str], *argument: str) -> list[str]:
    """The words but for `argument`, which is one option with its values."""
    found = [n for n in range(len(words)) if tuple(words[n : n + len(argument)]) == argument]
    assert len(found) == 1, argument
    return [*words[: found[0]], *words[found[0] + len(argument) :]]


@pytest.fixture(scope="module")
def full(room: Room) -> Facts:
    """What is found under the whole policy."""
    found = look(options(room, SYSTEM))
    assert found
    return found


def host_space(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{name}")


CASES: list[tuple[tuple[str, ...], Callable[[Facts], bool]]] = [
    (("--unshare-ipc",), lambda found: found["ipc"] != host_space("ipc")),
    (("--unshare-pid",), lambda found: found["pid"] != host_space("pid")),
    (("--unshare-uts",), lambda found: found["uts"] != host_space("uts")),
    (("--unshare-cgroup-try",), lambda found: found["cgroup"] != host_space("cgroup")),
    (("--unshare-net",), lambda found: found["net"] != host_space("net")),
    (("--new-session",), lambda found: found["session"] != 0),  # 0: a session that began outside
    (("--hostname", "steady"), lambda found: found["hostname"] == "steady"),
    (("--uid", "1000"), lambda found: found["ids"][0] == 1000),
    (("--gid", "1000"), lambda found: found["ids"][1] == 1000),
    (("--seccomp", str(SECCOMP_FD)), lambda found: found["filtered"] == "2"),
    (("--dev", "/dev"), lambda found: "/dev/null" in found["there"]),
    (("--ro-bind", "/dev/null", MASKED[0]), lambda found: found["masked"][0] == "EACCES"),
    (("--ro-bind", "/dev/null", MASKED[1]), lambda found: found["masked"][1] == "EACCES"),
    (("--size", str(TMP_BYTES_MAX), "--tmpfs", "/tmp"), lambda found: found["made"]["/tmp/x"] == "made"),
    (("--tmpfs", "/dev/shm"), lambda found: found["made"]["/dev/shm/x"] == "made"),
    (("--remount-ro", "/dev"), lambda found: found["made"]["/dev/x"] == "EROFS"),
    (("--remount-ro", "/"), lambda found: found["made"]["/x"] == "EROFS"),
    (("--chdir", "/app"), lambda found: found["cwd"] == "/app"),
    (("--setenv", "KEY", "value"), lambda found: found["key"] == "value"),
]
"""Argument → what is true with it and not without it."""


@pytest.mark.parametrize(("argument", "holds"), CASES, ids=[" ".join(argument) for argument, _ in CASES])
def test_an_argument_is_what_makes_it_so(
    argument: tuple[str, ...], holds: Callable[[Facts], bool], room: Room, full: Facts
) -> None:
    assert holds(full)
    found = look(without(options(room, SYSTEM), *argument))
    assert not found or not holds(found)


def test_every_argument_has_a_test(room: Room) -> None:
    """By the names of options: a new one needs a case here."""
    tested = {word for argument, _ in CASES for word in argument}
    tested |= {"--unshare-user", "--disable-userns", "--die-with-parent", "--cap-drop", "--info-fd", "--symlink"}
    tested |= {"--proc", "--bind", "--ro-bind"}
    assert {word for word in options(room, SYSTEM) if word.startswith("--")} <= tested


@pytest.mark.parametrize("path", ["/tmp", "/dev/shm"])
def test_what_lies_in_memory_has_a_size(path: str, room: Room, full: Facts) -> None:
    """--size, once for each."""
    assert full["bytes"][path] == TMP_BYTES_MAX
    words = options(room, SYSTEM)
    place = words.index(path) - 1
    assert words[place - 2 : place] == ["--size", str(TMP_BYTES_MAX)]
    assert look([*words[: place - 2], *words[place:]])["bytes"][path] > TMP_BYTES_MAX


def test_every_place_is_read_only_but_its_own(room: Room, full: Facts) -> None:
    """--ro-bind, each of them: made writable, it is found so; taken away, the place is gone or nothing starts."""
    writable = {"/proc", "/dev/shm", "/dev/pts", "/tmp", "/app", "/run/steady", "/extra"}
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    mounts = set(full["read_only"])
    assert not mounts & (writable | devices)
    assert {"/", "/usr", "/steady", "/etc", f"/app/{SCRIPT}", "/app/node_modules", "/shown", "/dev", *MASKED} <= mounts

    words = options(room, SYSTEM)
    for n, word in enumerate(words):
        if word == "--ro-bind" and words[n + 2] not in MASKED:
            found = look([*words[:n], "--bind", *words[n + 1 :]])
            assert words[n + 2] not in found["read_only"], words[n + 2]


def test_its_own_places_are_bound(room: Room, full: Facts) -> None:
    """--bind, each of them, --proc and the system's links: without one, what it brought is not there."""
    assert full["there"] == [
        "/proc/1",
        "/dev/null",
        "/etc/passwd",
        "/run/steady/mark",
        "/app/node_modules/mark",
        "/shown/mark",
    ]
    assert full["made"]["/app/x"] == full["made"]["/extra/x"] == "made"
    words = options(room, SYSTEM)
    binds = [tuple(words[n : n + 3]) for n, word in enumerate(words) if word == "--bind"]
    links = [tuple(words[n : n + 3]) for n, word in enumerate(words) if word == "--symlink"]
    needed = [link for link in links if link[2] in ("/lib", "/lib64", "/bin")]
    for argument in (*binds, *needed, ("--proc", "/proc")):
        assert look(without(words, *argument)) != full, argument


def test_a_network_that_was_entered_before_is_kept(room: Room, full: Facts) -> None:
    entered = look(options(replace(room, network="entered"), SYSTEM))
    assert entered["net"] == host_space("net"), "whatever bubblewrap was started in"
    assert entered["there"] == full["there"], "and nothing more is seen for it"


def test_new_user_namespaces_are_refused_twice(room: Room, full: Facts) -> None:
    """--disable-userns also without the filter, the filter also without --disable-userns; it needs --unshare-user."""
    assert full["namespace"] != 0
    words = options(room, SYSTEM)
    assert look(without(words, "--unshare-user")) == {}
    no_filter = without(words, "--seccomp", str(SECCOMP_FD))
    assert look(no_filter)["namespace"] != 0
    older = options(room, replace(SYSTEM, disables_userns=False))
    assert look(older)["namespace"] != 0
    assert look(without(older, "--seccomp", str(SECCOMP_FD)))["namespace"] == 0


@needs_root
def test_capabilities_are_dropped_whoever_starts_it(room: Room) -> None:
    """--cap-drop: bubblewrap leaves them to root."""
    words = options(room, SYSTEM)
    assert look(words, uid=None)["capabilities"] == "0" * 16
    assert look(without(words, "--cap-drop", "ALL"), uid=None)["capabilities"] != "0" * 16


def test_the_pid_on_the_host_is_told(room: Room) -> None:
    """--info-fd."""
    words = options(room, SYSTEM)
    true = ["/usr/bin/true"]
    assert json.loads(run(execute(words, true, UID))[2])["child-pid"] > 1
    assert run(execute(without(words, "--info-fd", str(INFO_FD)), true, UID))[2] == b""


def executed(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("dies", [True, False])
def test_it_dies_with_whoever_started_it(dies: bool, room: Room) -> None:
    """--die-with-parent, without the parent process of the daemon, which sees to that too."""
    words = [word for word in options(room, SYSTEM) if dies or word != "--die-with-parent"]
    for argument in (("--info-fd", str(INFO_FD)), ("--seccomp", str(SECCOMP_FD))):
        words = without(words, *argument)
    mark = f"{os.getpid() + dies}.17"
    identity = [] if UID is None else ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    command = [*identity, sandbox.BWRAP, *words, "--", "/usr/bin/sleep", mark]
    parent = subprocess.Popen([sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"])

    def inside() -> list[int]:
        """The sleep itself: half-started ones, whose words hold it too, die otherwise."""
        return [pid for pid in alive(mark) if executed(pid).startswith(b"/usr/bin/sleep")]

    async def body() -> None:
        await until(inside, "the sleep inside")
        parent.kill()
        await asyncio.to_thread(parent.wait)
        if dies:
            await until(lambda: not inside(), "its end")
        else:
            assert inside()

    try:
        run(body())
    finally:
        for pid in inside():
            os.kill(pid, signal.SIGKILL)
