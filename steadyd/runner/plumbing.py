"""The daemon's side of the plumber (`linux/plumber.py`), and of pasta, which leads its router to the world.

One router and one pasta serve all apps: 21 MiB once, where a pasta for each app would cost as much again and 50 ms at
each wake. Neither may be missing for the daemon to run: without them apps have no network, and `problem` says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.linux import plumber, ruleset
from steadyd.reach import DOOR_ADDRESS, DOOR_PORT
from steadyd.runner.process import Process, Spawn

logger = logging.getLogger("steadyd.network")

PROGRAM = Path(plumber.__file__)
CHANNEL = 3
UP_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 10.0
UPLINK_SECONDS_MAX = 5.0
"""Until pasta has made its interface; 50 ms is usual."""
LOOK_SECONDS = 0.01
AGAIN_SECONDS = 5.0
"""Until what ended by itself is started again: a laptop finds its network later."""
OUTPUT_BYTES = 4_096
PROGRAMS = (("pasta", "passt"), ("nft", "nftables"), ("ip", "iproute2"))
"""Program → the package that brings it, as Debian calls it."""
DNS_PORT = 53
EVERY_ADDRESS = "0.0.0.0"
TUN = "/dev/net/tun"
OWN_TUN = 'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"'


@dataclass(frozen=True, slots=True)
class Line:
    """One app's network: a namespace with eth0, and the router's interface at its other end."""

    name: str
    descriptor: int
    router: int
    """Which router it leads to: the plumber's pid."""
    door: tuple[socket.socket, ...] = ()
    """Of a private one: where it asks for its neighbours, and for their names. Of a trial's: where it asks for names,
    and what sees its packets."""

    def close(self) -> None:
        """Let go of it; it ends with the last process in it."""
        os.close(self.descriptor)
        for listening in self.door:
            listening.close()


class Plumbing:
    """Makes networks. `problem` is "" while there is a way out, else one sentence."""

    def __init__(self, spawn: Spawn, uid: int | None) -> None:
        """`uid` is taken by the plumber and by pasta, and nobody else's; None keeps our own (not root)."""
        self.problem = "it is not open."
        self.pid = 0
        self._spawn = spawn
        self._uid = uid
        self._users = -1
        self._channel: socket.socket | None = None
        self._up: asyncio.Future[dict[str, Any]] | None = None
        self._numbers = itertools.count(1)
        self._turn = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], int]]] = {}
        self._processes: list[Process] = []
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._own: set[str] = set()

    @property
    def namespaces(self) -> tuple[int, ...]:
        """What to enter before a network's namespace: as an ordinary user, the user namespace that owns it."""
        return () if self._uid is not None else (self._users,)

    async def open(self) -> None:
        """Start everything and keep it running. Returns when there is a way out, or a `problem`."""
        self._keeper = asyncio.create_task(self._keep())
        await self._tried.wait()

    async def close(self) -> None:
        """End the plumber and pasta, and with them every network."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await self._end()

    async def make(self, letter: str) -> Line:
        """A network of that class; the caller closes it.

        Raises:
            SteadyError: `cannot_start`, with what the plumber said.
        """
        router = self.pid
        answer, descriptor = await self._ask({"do": "make", "letter": letter, "alone": letter == ruleset.TRIAL})
        line = Line(answer["name"], descriptor, router)
        if letter not in (ruleset.PRIVATE, ruleset.TRIAL):
            return line
        try:
            if letter == ruleset.TRIAL:
                line = replace(line, door=(await self.listen(line, "udp", EVERY_ADDRESS, DNS_PORT),))
                return replace(line, door=(*line.door, await self.listen(line, "packets", EVERY_ADDRESS, 0)))
            web = await self.listen(line, "tcp", DOOR_ADDRESS, DOOR_PORT)
            line = replace(line, door=(web,))
            return replace(line, door=(web, await self.listen(line, "udp", ruleset.DNS, DNS_PORT)))
        except BaseException:
            line.close()
            raise

    async def rule(self, text: str) -> None:
        """Change the packet filter. Raises as `make`."""
        await self._ask({"do": "rule", "text": text})

    async def listen(self, line: Line, kind: str, address: str, port: int) -> socket.socket:
        """A socket inside a network, bound and (for "tcp") listening. Raises as `make`."""
        request = {"do": "listen", "kind": kind, "address": address, "port": port}
        _, descriptor = await self._ask(request, line.descriptor)
        return socket.socket(fileno=descriptor)

    async def refresh(self) -> None:
        """Refuse the addresses that this host has by now."""
        own = own_addresses()
        if own != self._own and self._channel is not None:
            await self.rule(ruleset.own_addresses(own))
            self._own = own

    def traffic(self) -> dict[str, int]:
        """Bytes that each app sent so far, by the router's interface; empty without a router."""
        return ruleset.traffic(self._told("dev"))

    # Private: keeping it running

    async def _keep(self) -> None:
        while True:
            try:
                self._check_installed()
                await self._start_plumber()
                await self._keep_uplink()
            except SteadyError as error:
                self._say(error.message)
            await self._end()
            await asyncio.sleep(AGAIN_SECONDS)

    def _check_installed(self) -> None:
        missing = missing_packages()
        if missing:
            raise SteadyError("cannot_start", f"Install what is missing with: apt-get install -y {' '.join(missing)}")

    async def _start_plumber(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * plumber.PACKET_BYTES_MAX)
        ours.setblocking(False)
        self._channel = ours
        self._up = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)
        with theirs:
            uid = -1 if self._uid is None else self._uid
            command = [sys.executable, "-I", "-S", str(PROGRAM), str(CHANNEL), str(uid)]
            self._processes.append(await self._spawn(command, {}, {CHANNEL: theirs.fileno()}))
        try:
            async with asyncio.timeout(UP_SECONDS_MAX):
                news = await self._up
        except TimeoutError:
            raise SteadyError("cannot_start", "The plumber of apps' networks does not start.") from None
        if not news["up"]:
            raise SteadyError("cannot_start", f"This system lets us make no network namespace: {news['error']}")
        self.pid = self._processes[-1].pid
        self._users = os.open(f"/proc/{self.pid}/ns/user", os.O_RDONLY)
        self._own = own_addresses()
        await self.rule(ruleset.ruleset(self._own))

    async def _keep_uplink(self) -> None:
        """Start pasta whenever it is not running; returns when the plumber has ended."""
        ended = self._processes[0].ended
        while not ended.done():
            output, output_end = os.pipe()
            try:
                command = uplink_command(self.pid, self._uid, _is_open(TUN))
                pasta = await self._spawn(command, {"PATH": plumber.PATH}, {1: output_end, 2: output_end})
            except BaseException:
                os.close(output)
                raise
            finally:
                os.close(output_end)
            self._processes.append(pasta)
            try:
                if await self._leads_out(pasta):
                    self._say("")
                    await asyncio.wait({pasta.ended, ended}, return_when=asyncio.FIRST_COMPLETED)
                self._say(f"The way out of apps (pasta) does not run: {_last_line(output)}")
            finally:
                os.close(output)
                pasta.kill()
            self._processes.remove(pasta)
            await asyncio.wait({ended}, timeout=AGAIN_SECONDS)

    async def _leads_out(self, pasta: Process) -> bool:
        """Wait until the router has a route to the world."""
        end = time.monotonic() + UPLINK_SECONDS_MAX
        while not pasta.ended.done() and time.monotonic() < end:
            if f"{ruleset.UPLINK}\t00000000" in self._told("route"):
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _told(self, name: str) -> str:
        """What the kernel tells of the router's network (proc(5), /proc/PID/net); "" without a router."""
        try:
            return Path(f"/proc/{self.pid}/net/{name}").read_text()
        except OSError:
            return ""

    async def _end(self) -> None:
        self._hang_up()
        processes, self._processes = self._processes, []
        for process in processes:
            process.kill()
        for process in processes:
            await process.ended
        self.pid = 0
        if self._users >= 0:
            os.close(self._users)
            self._users = -1

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.warning("apps have no network: %s", problem)
        self.problem = problem
        self._tried.set()

    # Private: the channel

    async def _ask(self, request: dict[str, Any], descriptor: int = -1) -> tuple[dict[str, Any], int]:
        """One request at a time. An answer that comes too late is thrown away when it comes."""
        async with self._turn:
            if self._channel is None:
                raise SteadyError("cannot_start", f"Apps have no network: {self.problem}")
            number = next(self._numbers)
            future: asyncio.Future[tuple[dict[str, Any], int]] = asyncio.get_running_loop().create_future()
            self._answers[number] = future
            packet = json.dumps({"id": number, **request}).encode()
            try:
                if len(packet) > plumber.PACKET_BYTES_MAX:
                    raise OSError(f"more than {plumber.PACKET_BYTES_MAX >> 10} KiB at once")
                socket.send_fds(self._channel, [packet], [descriptor] if descriptor >= 0 else [])
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    answer, given = await future
            except (OSError, TimeoutError) as error:
                raise SteadyError("cannot_start", f"The plumber of apps' networks does not answer: {error}") from error
            finally:
                self._answers.pop(number, None)
        if "error" in answer:
            raise SteadyError("cannot_start", f"An app's network could not be made: {answer['error']}")
        return answer, given

    def _read(self) -> None:
        assert self._channel is not None
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._channel, plumber.PACKET_BYTES_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            self._hang_up()
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        message: dict[str, Any] = json.loads(packet)
        waiting = self._answers.get(message.get("id", 0))
        if "up" in message:
            if self._up is not None and not self._up.done():
                self._up.set_result(message)
        elif waiting is not None and not waiting.done():
            waiting.set_result((message, descriptors[0] if descriptors else -1))
            return
        for descriptor in descriptors:
            os.close(descriptor)

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel.fileno())
            channel.close()
        gone = {"error": "the plumber has ended"}
        for future in self._answers.values():
            if not future.done():
                future.set_result((gone, -1))
        if self._up is not None and not self._up.done():
            self._up.set_result({"up": False, **gone})


def missing_packages() -> list[str]:
    """Packages, as Debian calls them, of the programs that are not here."""
    return [package for program, package in PROGRAMS if shutil.which(program, path=plumber.PATH) is None]


def uplink_command(pid: int, uid: int | None, tun_is_open: bool) -> list[str]:
    """pasta for the router that process `pid` holds, as `uid`, with everything shut that leads to the host itself.

    By default it would open the host's loopback, and forward ports both ways (pasta(1)). It opens /dev/net/tun after
    it became an ordinary user; where that file is root's, root gives it one of its own.
    """
    words = ["pasta", "--foreground", "--quiet", "--stderr", "--config-net", "--ipv4-only", "--no-map-gw"]
    words += ["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--ns-ifname", ruleset.UPLINK]
    words += ["--dns-forward", ruleset.DNS, "--userns", f"/proc/{pid}/ns/user", "--netns", f"/proc/{pid}/ns/net"]
    if uid is None:
        return ["/usr/bin/env", *words]
    words += ["--runas", f"{uid}:{uid}"]
    return ["/usr/bin/env", *words] if tun_is_open else ["/usr/bin/unshare", "-m", "sh", "-c", OWN_TUN, "sh", *words]


def own_addresses() -> set[str]:
    """This host's IPv4 addresses, loopback left out."""
    try:
        return ruleset.local_addresses(Path("/proc/net/fib_trie").read_text())
    except OSError:
        return set()


# Private


def _is_open(path: str) -> bool:
    """Whether every user may open it."""
    try:
        return os.stat(path).st_mode & 0o006 == 0o006
    except OSError:
        return False


def _last_line(output: int) -> str:
    os.set_blocking(output, False)
    with contextlib.suppress(BlockingIOError):
        lines = os.read(output, OUTPUT_BYTES).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
    return "it said nothing"
