"""The parent of every child: a program of its own, so small that it has no reason to end before the daemon does.

A kill -9 of the daemon must leave no process, whatever was being started at that moment. Death signals alone leave
gaps: bubblewrap's second process asks for its own some milliseconds after it was forked, and when the first dies in
between, the rest lives on (seen about once in sixty kills). So this process starts the children and is their subreaper
(prctl(2), PR_SET_CHILD_SUBREAPER): whatever loses its parent becomes its child. When its socket to the daemon ends,
it kills its descendants until there are none.

It runs as `python -I -S parent.py DESCRIPTOR` and imports nothing of ours. One JSON object a packet (SOCK_SEQPACKET):

    request  {"id": 7, "argv": [...], "environ": {...}, "numbers": [child's numbers], "uid": 1 or null,
              "join": [cgroup files], "limits": [[RLIMIT_…, value]]}
             with a descriptor for each namespace to enter, then one for each number
    request  {"id": 8, "spare": true}: a process that does nothing in a user namespace of its own, not mapped yet
    request  {"id": 9, "users": pid of a spare, "map": "lines of uid_map", "mounts": [[source, target, mapped]]}
             with the descriptor of a mount namespace: bind the sources there, owners translated or read-only; the spare
             ends. Answered with the spare's pid. Without map and mounts: the spare only ends.
    request  {"id": 10, "linkless": [[source, target]]}
             with the descriptor of a mount namespace: bind the sources there, and no link in them leads anywhere.
             Answered without a pid.
    answer   {"id": 7, "pid": 1} or {"id": 7, "error": "No such file or directory"}
    news     {"ended": pid, "status": what waitpid(2) said}; {"up": true} once, at the start
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

PACKET_BYTES_MAX = 256 << 10
DESCRIPTORS_PER_REQUEST_MAX = 16
KILL_SECONDS_MAX = 10.0
KILL_AGAIN_SECONDS = 0.002
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_INTO_CGROUP = 0x200000000
CLONE_NEWUSER = 0x10000000
SYS_CLONE3, SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 435, 428, 429, 442  # on every machine
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_READ_ONLY, MOUNT_NOSUID, MOUNT_NODEV, MOUNT_NOEXEC, MOUNT_IDMAP, MOUNT_NOSYMFOLLOW = (
    1,
    2,
    4,
    8,
    0x100000,
    0x200000,
)
DEFAULTS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGXFSZ)


class Parent:
    """Serves one daemon until it is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._children: set[int] = set()
        self._spares: set[int] = set()

    def run(self) -> None:
        """Serve requests and reap children; at the end of the channel, leave nobody behind."""
        waking, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(waking, select.POLLIN)
        self._tell({"up": True})
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if waking in ready:
                os.read(waking, PACKET_BYTES_MAX)
                self._reap()
            if self._channel.fileno() in ready and not self._serve():
                return

    # Private

    def _serve(self) -> bool:
        """Answer one request; false when the daemon is gone."""
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._channel, PACKET_BYTES_MAX, DESCRIPTORS_PER_REQUEST_MAX)
        except ConnectionError:
            return False
        if not packet:
            return False
        for descriptor in descriptors:  # recv_fds leaves them inheritable, and its flags unused (3.11)
            os.set_inheritable(descriptor, False)
        request = json.loads(packet)
        try:
            self._tell({"id": request["id"], "pid": self._do(request, descriptors), "child": "argv" in request})
        except OSError as error:
            self._tell({"id": request["id"], "error": error.strerror})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _do(self, request: dict[str, Any], descriptors: list[int]) -> int | None:
        if "argv" in request:
            pid = spawn(request, descriptors)
            self._children.add(pid)
        elif "spare" in request:
            pid = spare()
            self._spares.add(pid)
        elif "linkless" in request:
            wanted = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC | MOUNT_NOSYMFOLLOW
            place([(source, target, wanted, 0) for source, target in request["linkless"]], descriptors[0])
            return None
        else:
            pid = request["users"]
            if pid not in self._spares:
                raise OSError(errno.ESRCH, "the spare has ended")
            try:
                if "mounts" in request:
                    bind(request, descriptors[0])
            finally:
                os.kill(pid, signal.SIGKILL)
        return pid

    def _reap(self) -> None:
        """Take every child that ended, and end what is left of its group while its number is still its own."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                ours = found.si_pid in self._children
                if ours:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(found.si_pid, signal.SIGKILL)
                _, status = os.waitpid(found.si_pid, 0)
                self._spares.discard(found.si_pid)
                if ours:
                    self._children.discard(found.si_pid)
                    self._tell({"ended": found.si_pid, "status": status})

    def _tell(self, message: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone, and the next read says so
            self._channel.send(json.dumps(message).encode())


def spawn(request: dict[str, Any], descriptors: list[int]) -> int:
    """Start one child in a session of its own; stdin is empty. Raises OSError.

    A fork of so small a process costs half a millisecond, and lets the child confine itself before it runs anything.
    """
    reading, writing = os.pipe()  # says why, if there is something to say; a program that was executed closes it
    group = next((path for path in request["join"] if path.endswith("/cgroup.procs")), "")
    pid = fork_into(os.path.dirname(group)) if group else os.fork()
    if pid == 0:
        try:
            become(request, descriptors)
        except OSError as error:
            os.write(writing, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(writing)
    try:
        said = os.read(reading, 16)
    finally:
        os.close(reading)
    if said:
        os.waitpid(pid, 0)
        raise OSError(int(said), os.strerror(int(said)))
    return pid


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """In the child: be confined as asked, then the program. Only returns by raising OSError."""
    os.setsid()
    for path in request["join"]:
        if path.endswith("/cgroup.procs"):
            continue  # born there
        # One's own single thread, named “0”, is moved without the lock that moving another's takes (14 ms at worst).
        with open(path, "wb", buffering=0) as file:
            file.write(b"0")
    count = len(descriptors) - len(request["numbers"])
    for namespace in descriptors[:count]:
        setns(namespace)
    # First out of the way of the numbers that the child wants, then to these.
    aside = [os.dup2(ours, 100 + place, inheritable=False) for place, ours in enumerate(descriptors[count:])]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for ours, theirs in zip(aside, request["numbers"], strict=True):
        os.dup2(ours, int(theirs))
    for limit, value in request["limits"]:
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # raising it is root's only
        resource.setrlimit(limit, (value, value))
    if (uid := request["uid"]) is not None:  # with the uid go all capabilities (capabilities(7))
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for number in DEFAULTS:
        signal.signal(number, signal.SIG_DFL)
    os.execve(request["argv"][0], request["argv"], request["environ"])


def fork_into(folder: str) -> int:
    """fork(2) into a cgroup of version 2 (clone3(2), CLONE_INTO_CGROUP): to move there afterwards takes a global lock.

    Returns like fork. Raises OSError. This process has one thread, and ctypes.PyDLL keeps the interpreter's lock.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        arguments = struct.pack("11Q", CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, descriptor)
        libc = ctypes.PyDLL(None, use_errno=True)
        pid: int = libc.syscall(SYS_CLONE3, ctypes.c_char_p(arguments), ctypes.c_size_t(len(arguments)))
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone3")
        return pid
    finally:
        os.close(descriptor)


def spare() -> int:
    """A process in a user namespace of its own, which has no owner mapped yet: made early, for a later `bind`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0:
            os.write(writing, b".")
            signal.pause()
        os._exit(1)
    os.close(writing)
    done = os.read(reading, 1)
    os.close(reading)
    if not done:
        raise OSError(errno.EPERM, "unshare")
    return pid


def bind(request: dict[str, Any], namespace: int) -> None:
    """Bind folders of the host into another mount namespace (open_tree(2), move_mount(2)).

    One that is `mapped` shows its owners through the spare's user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP): so a
    sandbox that was started as nobody in particular works in an app's folder as if it were the app. The others are
    read-only. Raises OSError. This process has one thread, so it can go there and come back.
    """
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{request['users']}/{name}", "wb", buffering=0) as file:
            file.write(request["map"].encode())
    users = os.open(f"/proc/{request['users']}/ns/user", os.O_RDONLY)
    try:
        kinds = ((MOUNT_READ_ONLY, 0), (MOUNT_IDMAP, users))
        asked = [(source, target, *kinds[mapped]) for source, target, mapped in request["mounts"]]
        place(
            [(source, target, MOUNT_NOSUID | MOUNT_NODEV | kind, of) for source, target, kind, of in asked], namespace
        )
    finally:
        os.close(users)


def place(mounts: list[tuple[str, str, int, int]], namespace: int) -> None:
    """Bind (source, target, attributes, user namespace or 0) in another mount namespace. Raises OSError."""
    opened = [os.open("/proc/self/ns/mnt", os.O_RDONLY)]
    try:
        targets = []
        for source, target, attributes, users in mounts:
            opened.append(syscall(SYS_OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC))
            told = struct.pack("4Q", attributes, 0, 0, users)
            syscall(SYS_MOUNT_SETATTR, opened[-1], b"", AT_EMPTY_PATH, told, len(told))
            targets.append((opened[-1], target.encode()))
        setns(namespace)
        try:
            for tree, name in targets:
                syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            setns(opened[0])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def setns(namespace: int) -> None:
    """Enter a namespace (setns(2)). Raises OSError."""
    if LIBC.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def syscall(number: int, *arguments: int | bytes) -> int:
    """A system call that the C library has no name for yet. Raises OSError."""
    words = [ctypes.c_char_p(word) if isinstance(word, bytes) else ctypes.c_long(word) for word in arguments]
    result: int = LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def descendants(root: int) -> list[int]:
    """Every process below `root`, from proc(5)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                above = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(above, []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def end_all(seconds: float = KILL_SECONDS_MAX) -> None:
    """Kill what is left, again and again: a process may have been starting another. Gives up after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(KILL_AGAIN_SECONDS)


def main(number: int) -> None:
    """The program. It leads a session of its own: Ctrl-C at the terminal is the daemon's business."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # every child's, from its first instruction
    if os.geteuid() == 0:
        os.setgroups([])
    os.set_inheritable(number, False)  # a child that held our channel would hide the daemon's end from us
    try:
        Parent(socket.socket(fileno=number)).run()
    finally:
        end_all()


if __name__ == "__main__":
    main(int(sys.argv[1]))
