"""The plumber: a small program that holds the router namespace and makes the apps' network namespaces.

It lives in a user namespace of its own, in which it is root: it may rule over networks that it made itself, and over
nothing of the host. As the host's root it first takes a uid that nobody else has. When its channel ends, it ends, and
with its last process the router is gone.

It runs as `python -I -S plumber.py DESCRIPTOR UID` (UID -1: our own) and imports nothing of ours. One JSON object a
packet (SOCK_SEQPACKET), answered in order:

    {"id": 1, "do": "rule", "text": nft(8)'s input}
    {"id": 2, "do": "make", "letter": "u"}   → {"id": 2, "name": "u17"} and the namespace's descriptor
    {"id": 3, "do": "listen", "kind": "tcp" or "udp", "address": "127.0.0.2", "port": 80} with a namespace's descriptor
                                            → {"id": 3} and the bound socket's descriptor
    kind "packets": a socket that sees every TCP packet which the namespace sends to itself (raw(7); packet(7) would
    see more, and each of its sockets takes 8 ms to close)
    answer to what failed: {"id": 4, "error": "one line"}
    news: {"up": true, "pid": its pid} or {"up": false, "error": "one line"}, once, at the start
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

PACKET_BYTES_MAX = 256 << 10
TOOL_SECONDS_MAX = 5.0
NETWORKS_MAX = 32_000
"""Networks of four addresses below NETWORK_FIRST; the last 768 addresses of 198.18.0.0/15 are for other things."""
NETWORK_FIRST = (198 << 24) | (18 << 16)
LISTEN_BACKLOG = 128
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_DUMPABLE = 4
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LIBC = ctypes.CDLL(None, use_errno=True)


class Plumber:
    """Serves one daemon until it is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._router = namespace()
        self._next = 0

    def run(self) -> None:
        """Answer request after request; at the end of the channel, return."""
        self._tell({"up": True, "pid": os.getpid()}, [])
        while True:
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, PACKET_BYTES_MAX, 1)
            except ConnectionError:
                return
            if not packet:
                return
            request = json.loads(packet)
            try:
                answer, given = self._do(request, descriptors)
            except (OSError, subprocess.SubprocessError) as error:
                answer, given = {"error": reason(error)}, []
            self._tell({"id": request["id"], **answer}, given)
            for descriptor in (*descriptors, *given):
                os.close(descriptor)

    # Private

    def _do(self, request: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        if request["do"] == "rule":
            tool(["nft", "-f", "-"], request["text"])
            return {}, []
        if request["do"] == "make":
            name, descriptor = (self._alone if request.get("alone") else self._make)(request["letter"])
            return {"name": name}, [descriptor]
        return {}, [self._inside(descriptors[0], lambda: bound(request))]

    def _make(self, letter: str) -> tuple[str, int]:
        """A namespace whose eth0 leads to a new interface of the router; its descriptor is the only hold on it."""
        number = free(self._next, (name for _, name in socket.if_nameindex()))
        self._next = (number + 1) % NETWORKS_MAX
        name, first = f"{letter}{number}", NETWORK_FIRST + 4 * number
        gate, inner = dotted(first + 1), dotted(first + 2)
        unshare(CLONE_NEWNET)
        try:
            made = namespace()
            without_ipv6()
        finally:
            enter(self._router)
        try:
            inside = f"link set lo up\nlink add eth0 type veth peer name {name} netns {os.getpid()}\n"
            inside += f"addr add {inner}/30 dev eth0\nlink set eth0 up\nroute add default via {gate}\n"
            tool(["ip", "-batch", "-"], inside, lambda: enter(made))
            tool(["ip", "-batch", "-"], f"addr add {gate}/30 dev {name}\nlink set {name} up\n")
        except BaseException:
            os.close(made)
            raise
        return name, made

    def _alone(self, letter: str) -> tuple[str, int]:
        """A namespace that leads nowhere: every address is its own."""
        self._next = (self._next + 1) % NETWORKS_MAX
        unshare(CLONE_NEWNET)
        try:
            made = namespace()
            without_ipv6()
        finally:
            enter(self._router)
        try:
            tool(["ip", "-batch", "-"], "link set lo up\nroute add local default dev lo\n", lambda: enter(made))
        except BaseException:
            os.close(made)
            raise
        return f"{letter}{self._next}", made

    def _inside(self, descriptor: int, act: Callable[[], int]) -> int:
        enter(descriptor)
        try:
            return act()
        finally:
            enter(self._router)

    def _tell(self, message: dict[str, Any], descriptors: list[int]) -> None:
        with contextlib.suppress(OSError):  # the daemon is gone, and the next read says so
            socket.send_fds(self._channel, [json.dumps(message).encode()], descriptors)


def free(first: int, names: Iterable[str]) -> int:
    """The next number from `first` on that no interface of `names` bears: each in its turn, so that a late packet
    finds nobody. Raises OSError."""
    taken = {int(name[1:]) for name in names if name[1:].isdigit()}
    for number in itertools.chain(range(first, NETWORKS_MAX), range(first)):
        if number not in taken:
            return number
    raise OSError("no network is free")


def bound(request: dict[str, Any]) -> int:
    """A socket at the asked address of the namespace that we are in, listening if it is TCP's."""
    if request["kind"] == "packets":
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).detach()
    tcp = request["kind"] == "tcp"
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    with made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not request["address"].startswith(("127.", "0.")):
            tool(["ip", "addr", "replace", f"{request['address']}/32", "dev", "lo"])
        made.bind((request["address"], request["port"]))
        if tcp:
            made.listen(LISTEN_BACKLOG)
        return int(made.detach())


def tool(words: list[str], text: str = "", before: Callable[[], object] | None = None) -> None:
    """Run ip(8) or nft(8) with `text` as its input. Raises OSError, subprocess.SubprocessError."""
    subprocess.run(
        words,
        input=text.encode(),
        capture_output=True,
        check=True,
        timeout=TOOL_SECONDS_MAX,
        env={"PATH": PATH},
        preexec_fn=before,  # one thread, so safe
    )


def reason(error: Exception) -> str:
    """One line."""
    said = (getattr(error, "stderr", b"") or b"").decode("utf-8", "replace").strip().splitlines()
    return said[0] if said else str(error)


def namespace() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def unshare(flags: int) -> None:
    if LIBC.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def without_ipv6() -> None:
    """Interfaces made from now on in this namespace get no IPv6 address."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")


def dotted(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def settle(uid: int) -> None:
    """Become root of a user namespace and a network namespace of our own. Raises OSError."""
    if uid >= 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self is root's, and the maps below with it
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"0 {uid} 1")
    write("/proc/self/gid_map", f"0 {gid} 1")
    without_ipv6()
    write("/proc/sys/net/ipv4/ip_forward", "1")
    tool(["ip", "link", "set", "lo", "up"])


def main(number: int, uid: int) -> None:
    """The program."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    channel = socket.socket(fileno=number)
    channel.set_inheritable(False)
    try:
        settle(uid)
    except (OSError, subprocess.SubprocessError) as error:
        channel.send(json.dumps({"up": False, "error": reason(error)}).encode())
        return
    Plumber(channel).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
