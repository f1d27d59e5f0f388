"""One network for each instance: ready before it is needed, gone with it, counted, and cut off where that is due."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.linux import ruleset
from steadyd.model import Network
from steadyd.reach import Reach, Target
from steadyd.runner import networks as module
from steadyd.runner.ground import PLUMBER_UID
from steadyd.runner.launcher import Launcher
from steadyd.runner.logs import Logs
from steadyd.runner.networks import READY, Networks
from steadyd.runner.plumbing import Plumbing, missing_packages
from tests.outside import entered
from tests.runner.conftest import AS_ROOT, needs_root, run, until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
    pytest.mark.skipif(sys.platform == "linux" and bool(missing_packages()), reason="needs passt, nftables, iproute2"),
]
GUEST = Reach(owner="guest-1", guest=True)
NOON = 1_000_000_000.0


class Stand:
    """Networks on real plumbing, and what apps were told."""

    def __init__(self, plumbing: Plumbing, logs: Logs, networks: Networks, folder: Path) -> None:
        self.plumbing, self.logs, self.networks, self.folder = plumbing, logs, networks, folder

    async def told(self, app_id: str) -> str:
        await self.logs.flush()
        return "".join(path.read_text() for path in sorted((self.folder / app_id).glob("*")))

    def listed(self, name: str) -> str:
        """A set of the packet filter, as nft(8) shows it."""
        command = ["nsenter", "-t", str(self.plumbing.pid), "-U", "-n", "nft", "list", "set", "inet", "steady", name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextlib.asynccontextmanager
async def stand(root: Path, filled: bool = True) -> AsyncIterator[Stand]:
    launcher = Launcher()
    await launcher.open()
    plumbing = Plumbing(launcher.spawn, PLUMBER_UID if AS_ROOT else None)
    logs = Logs(lambda app_id: root / app_id, 10 << 20)
    networks = Networks(plumbing, logs)
    running: asyncio.Task[None] | None = None
    try:
        await plumbing.open()
        if plumbing.problem:
            pytest.skip(f"no way out on this machine: {plumbing.problem}")
        if filled:
            running = asyncio.create_task(networks.run())
            await until(lambda: networks.ready == READY, "networks to lie ready")
        yield Stand(plumbing, logs, networks, root)
    finally:
        if running is not None:
            running.cancel()
        networks.close()
        await logs.close()
        await plumbing.close()
        await launcher.close()


def send(descriptor: int, size: int) -> None:
    """Datagrams of `size` bytes together, to an address that the router refuses."""
    with entered(descriptor), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(size // 1000):
            with contextlib.suppress(OSError):  # refused, as the answer to the one before says
                sender.sendto(b"?" * 1000, ("10.1.2.3", 7777))


def test_one_that_lies_ready_costs_no_wait_and_is_replaced(root: Path) -> None:
    async def body() -> None:
        async with stand(root) as at:
            for letter, reach in (("u", Reach()), ("g", GUEST), ("p", Reach(Network.PRIVATE))):
                taking = at.networks.take("a", reach)
                with pytest.raises(StopIteration) as done:
                    taking.send(None)  # it is there without the loop's turning once
                network = done.value.value
                assert network.line.name.startswith(letter)
                assert network.namespaces[-1] == network.line.descriptor
                network.release()
                await until(lambda: at.networks.ready == READY, "another in its place")

    run(body())


def test_none_is_nothing(root: Path) -> None:
    async def body() -> None:
        async with stand(root, filled=False) as at:
            network = await at.networks.take("a", Reach(Network.NONE))
            assert (network.line, network.namespaces) == (None, ())
            network.release()

    run(body())


def test_more_than_lie_ready_are_made_while_they_wait(root: Path) -> None:
    async def body() -> None:
        async with stand(root) as at:
            many = await asyncio.gather(*(at.networks.take("a", Reach()) for _ in range(3 * READY["u"])))
            assert len({network.line.name for network in many if network.line}) == 3 * READY["u"]
            for network in many:
                network.release()
                network.release()  # once is enough, twice is no harm
            names = {network.line.name for network in many if network.line}
            await until(lambda: not names & at.plumbing.traffic().keys(), "them to be gone")

    run(body())


def test_who_waits_too_long_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS_MAX", 0.05)

    async def body() -> None:
        async with stand(root, filled=False) as at:
            with pytest.raises(SteadyError, match="could not be made within"):
                await at.networks.take("a", Reach())

    run(body())


def test_networks_of_a_router_that_is_gone_are_thrown_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadyd.runner.plumbing.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "REFILL_SECONDS", 0.01)

    async def body() -> None:
        async with stand(root) as at:
            before = at.plumbing.pid
            losing = await at.networks.take("b", Reach())
            at.plumbing._processes[0].kill()
            await until(lambda: at.plumbing.pid not in (0, before) and not at.plumbing.problem, "another router")
            network = await at.networks.take("a", Reach())
            assert network.line is not None
            assert network.line.router == at.plumbing.pid
            for _ in range(2):
                await at.networks.tick(NOON)
            assert (await at.told("b")).count("lost its network") == 1, "whoever runs is told"
            assert await at.told("a") == ""
            network.release()
            losing.release()

    run(body())


@needs_root
def test_what_an_app_sends_is_counted_over_its_instances(root: Path) -> None:
    async def body() -> None:
        async with stand(root) as at:
            for total in (20_000, 40_000):
                network = await at.networks.take("a", Reach())
                assert network.line is not None
                send(network.line.descriptor, 20_000)
                at.networks.count()
                assert at.networks.sent("a") >= total
                network.release()
            assert at.networks.sent("a") < 50_000
            assert at.networks.sent("b") == 0

    run(body())


@needs_root
def test_a_guest_who_sent_too_much_is_cut_off_until_the_next_day(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GUEST_BYTES_PER_DAY_MAX", 30_000)

    async def body() -> None:
        async with stand(root) as at:
            one, other = [await at.networks.take(app, GUEST) for app in ("a", "b")]
            mine = await at.networks.take("c", Reach(owner="somebody"))
            stranger = await at.networks.take("d", Reach(owner="guest-2", guest=True))
            for network in (one, other, mine):
                assert network.line is not None
                send(network.line.descriptor, 20_000)
            await at.networks.tick(NOON)
            assert one.line is not None
            assert other.line is not None
            assert all(f'"{line.name}"' in at.listed("spent") for line in (one.line, other.line))
            assert at.listed("spent").count('"') == 4, "nobody else"
            assert "daily amount" in await at.told("a")
            again = await at.networks.take("a", GUEST)
            await at.networks.tick(NOON + 1)
            assert again.line is not None
            assert f'"{again.line.name}"' in at.listed("spent")
            await at.networks.tick(NOON + 86_400)
            assert '"' not in at.listed("spent")
            for network in (one, other, mine, stranger, again):
                network.release()

    run(body())


@needs_root
def test_targets_are_open_while_the_instance_lives(root: Path) -> None:
    async def body() -> None:
        async with stand(root) as at:
            at.networks.targets["a"] = (Target("10.0.0.5", 5432), Target("host", 80))
            network = await at.networks.take("a", Reach())
            assert network.line is not None
            assert f'"{network.line.name}" . 10.0.0.5 . 5432' in at.listed("allowed")
            network.release()
            await until(lambda: "10.0.0.5" not in at.listed("allowed"), "the target to be closed")

    run(body())


def test_without_plumbing_an_app_runs_without_network_and_is_told_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadyd.linux.plumber.PATH", "/nowhere")

    async def body() -> None:
        launcher = Launcher()
        await launcher.open()
        plumbing = Plumbing(launcher.spawn, None)
        logs = Logs(lambda app_id: root / app_id, 10 << 20)
        networks = Networks(plumbing, logs)
        await plumbing.open()
        for _ in range(2):
            network = await networks.take("a", Reach())
            assert network.namespaces == ()
            network.release()
        assert "apt-get install -y passt nftables iproute2" in networks.problem
        told = await Stand(plumbing, logs, networks, root).told("a")
        assert told.count("This app has no network: Install what is missing with") == 1
        await logs.close()
        await plumbing.close()
        await launcher.close()

    run(body())


def test_classes_are_the_filter_s() -> None:
    assert set(READY) == set(ruleset.CLASSES)
