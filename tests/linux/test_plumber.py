"""The plumber as the program that it is: started, asked over its channel, and left."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from steadyd.linux import plumber
from steadyd.runner.plumbing import missing_packages

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
    pytest.mark.skipif(sys.platform == "linux" and bool(missing_packages()), reason="needs nftables and iproute2"),
]
SECONDS_MAX = 10.0
UID = 1_899_999_990
as_root = os.geteuid() == 0


class Channel:
    """The daemon's end."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        ours.settimeout(SECONDS_MAX)

    def read(self) -> tuple[dict[str, Any], list[int]]:
        packet, descriptors, _, _ = socket.recv_fds(self.socket, plumber.PACKET_BYTES_MAX, 1)
        return json.loads(packet), descriptors

    def ask(self, descriptors: tuple[int, ...] = (), **request: Any) -> tuple[dict[str, Any], list[int]]:
        socket.send_fds(self.socket, [json.dumps({"id": 7, **request}).encode()], descriptors)
        return self.read()


@contextlib.contextmanager
def program(uid: int) -> Iterator[tuple[Channel, subprocess.Popen[bytes]]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        number = theirs.fileno()
        command = [sys.executable, "-I", "-S", plumber.__file__, str(number), str(uid)]
        with subprocess.Popen(command, pass_fds=[number]) as process:
            theirs.close()
            yield Channel(ours), process
            ours.close()
            assert process.wait(SECONDS_MAX) == 0, "it ends with its channel"


@pytest.fixture
def started() -> Iterator[tuple[Channel, subprocess.Popen[bytes]]]:
    with program(UID if as_root else -1) as (channel, process):
        news, _ = channel.read()
        if not news["up"]:
            pytest.skip(f"no user namespaces here: {news['error']}")
        assert news == {"up": True, "pid": process.pid}
        yield channel, process


def status(pid: int, name: str) -> list[str]:
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1:] for line in file if line.startswith(f"{name}:"))


def test_it_rules_over_its_own_namespaces_and_as_nobody_on_the_host(
    started: tuple[Channel, subprocess.Popen[bytes]],
) -> None:
    _, process = started
    for name in ("user", "net"):
        assert os.readlink(f"/proc/{process.pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    assert set(status(process.pid, "Uid")) == {str(UID if as_root else os.geteuid())}
    with open(f"/proc/{process.pid}/uid_map") as file:
        assert file.read().split() == ["0", str(UID if as_root else os.geteuid()), "1"]


def test_a_network_has_one_way_and_no_ipv6(started: tuple[Channel, subprocess.Popen[bytes]]) -> None:
    channel, process = started
    answer, (descriptor,) = channel.ask(do="make", letter="u")
    assert answer == {"id": 7, "name": "u0"}
    with open(f"/proc/{process.pid}/net/dev") as file:
        assert "u0:" in file.read()
    if as_root:
        enter = ["nsenter", f"--net=/proc/self/fd/{descriptor}"]
        shown = subprocess.run(
            [*enter, "ip", "-brief", "addr"], pass_fds=[descriptor], capture_output=True, text=True, check=True
        ).stdout
        assert shown.splitlines()[1].split()[2:] == ["198.18.0.2/30"]
    os.close(descriptor)


def test_a_socket_is_bound_inside(started: tuple[Channel, subprocess.Popen[bytes]]) -> None:
    channel, _ = started
    _, (network,) = channel.ask(do="make", letter="p")
    for kind, address, port in (("tcp", "127.0.0.2", 80), ("udp", "198.19.255.53", 53)):
        answer, (descriptor,) = channel.ask((network,), do="listen", kind=kind, address=address, port=port)
        assert answer == {"id": 7}
        with socket.socket(fileno=descriptor) as made:
            assert made.getsockname() == (address, port)
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == (kind == "tcp")
    os.close(network)


def test_what_fails_is_said_and_harms_nothing(started: tuple[Channel, subprocess.Popen[bytes]]) -> None:
    channel, _ = started
    answer, descriptors = channel.ask(do="rule", text="nonsense")
    assert "syntax error" in answer["error"]
    assert descriptors == []
    assert channel.ask(do="rule", text="table inet x { }") == ({"id": 7}, [])


@pytest.mark.skipif(not as_root, reason="needs root, to forbid namespaces")
def test_where_it_may_make_nothing_it_says_so() -> None:
    """In a user namespace that may hold no other."""
    script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-I", "-S", plumber.__file__, str(theirs.fileno()), "-1"]
        shut = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *command]
        assert subprocess.run(shut, pass_fds=[theirs.fileno()], timeout=SECONDS_MAX).returncode == 0
        news, _ = Channel(ours).read()
    assert news == {"up": False, "error": "[Errno 28] No space left on device"}


def test_a_tool_gets_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plumber, "TOOL_SECONDS_MAX", 0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        plumber.tool(["sleep", "10"])


def test_there_are_only_so_many_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has four addresses, and none reaches those that are for other things."""
    last = plumber.NETWORK_FIRST + 4 * plumber.NETWORKS_MAX
    assert plumber.dotted(last) == "198.19.244.0"
    assert [plumber.free(3, ["lo", "up0", "u1"]), plumber.free(1, ["u1", "g2"])] == [3, 3]
    monkeypatch.setattr(plumber, "NETWORKS_MAX", 2)
    assert plumber.free(1, ["u1"]) == 0
    with pytest.raises(OSError, match="no network is free"):
        plumber.free(1, ["u1", "g0"])
