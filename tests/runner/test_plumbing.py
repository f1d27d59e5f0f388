"""The daemon's side of the plumber and of pasta: both real, on this machine's own network; nothing is sent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.linux import plumber
from steadyd.runner import plumbing as module
from steadyd.runner.ground import PLUMBER_UID
from steadyd.runner.launcher import Launcher
from steadyd.runner.plumbing import Plumbing, missing_packages, own_addresses, uplink_command
from tests.runner.conftest import AS_ROOT, run, until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
    pytest.mark.skipif(sys.platform == "linux" and bool(missing_packages()), reason="needs passt, nftables, iproute2"),
]
UID = PLUMBER_UID if AS_ROOT else None


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Plumbing]:
    """Plumbing that has been tried; what it could not do is its `problem`."""
    launcher = Launcher()
    await launcher.open()
    plumbing = Plumbing(launcher.spawn, UID)
    try:
        await plumbing.open()
        yield plumbing
    finally:
        await plumbing.close()
        await launcher.close()


def up(plumbing: Plumbing) -> None:
    if plumbing.problem:
        pytest.skip(f"no way out on this machine: {plumbing.problem}")


def test_networks_are_made_and_leave_nothing_behind() -> None:
    async def body() -> None:
        before = len(os.listdir("/proc/self/fd"))
        async with opened() as plumbing:
            up(plumbing)
            lines = [await plumbing.make("u"), await plumbing.make("g")]
            assert [line.name for line in lines] == ["u0", "g1"]
            assert {"up0", "u0", "g1"} <= plumbing.traffic().keys()
            with await plumbing.listen(lines[0], "tcp", "127.0.0.2", 80) as listening:
                assert listening.getsockname() == ("127.0.0.2", 80)
            for line in lines:
                line.close()
            await until(lambda: "u0" not in plumbing.traffic(), "the kernel to remove a network that nobody holds")
            pid = plumbing.pid
        assert str(pid) not in os.listdir("/proc")
        assert plumbing.traffic() == {}
        assert len(os.listdir("/proc/self/fd")) == before

    run(body())


def test_what_the_plumber_refuses_is_an_error_and_it_goes_on() -> None:
    async def body() -> None:
        async with opened() as plumbing:
            up(plumbing)
            with pytest.raises(SteadyError, match="syntax error"):
                await plumbing.rule("nonsense")
            with pytest.raises(SteadyError, match="256 KiB"):
                await plumbing.rule("#" * plumber.PACKET_BYTES_MAX)
            (await plumbing.make("u")).close()

    run(body())


def test_the_host_s_own_addresses_are_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with opened() as plumbing:
            up(plumbing)
            said: list[str] = []
            rule = plumbing.rule

            async def listen(text: str) -> None:
                said.append(text)
                await rule(text)

            monkeypatch.setattr(plumbing, "rule", listen)
            await plumbing.refresh()
            assert said == []
            monkeypatch.setattr(module, "own_addresses", lambda: {"192.0.2.77"})
            await plumbing.refresh()
            await plumbing.refresh()
            assert len(said) == 1
            assert "192.0.2.77" in said[0]

    run(body())


@pytest.mark.parametrize("victim", ["plumber", "pasta"])
def test_what_ends_is_started_again(victim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)

    async def body() -> None:
        async with opened() as plumbing:
            up(plumbing)
            process = plumbing._processes[victim == "pasta"]
            process.kill()
            await until(lambda: plumbing.problem != "", "the loss to be noticed")
            await until(lambda: plumbing.problem == "", "another")
            assert process.pid not in [running.pid for running in plumbing._processes]
            (await plumbing.make("u")).close()

    run(body())


def script(path: Path, text: str) -> Path:
    path.write_text("import json, os, socket, time\nchannel = socket.socket(fileno=3)\n" + text)
    return path


@pytest.mark.parametrize(
    ("limit", "text", "problem"),
    [
        ("UP_SECONDS_MAX", "time.sleep(100)", "does not start"),
        (
            "ANSWER_SECONDS_MAX",
            "channel.send(json.dumps({'up': True, 'pid': os.getpid()}).encode())\ntime.sleep(100)",
            "does not answer",
        ),
        ("UP_SECONDS_MAX", 'channel.send(b\'{"up": false, "error": "not here"}\')', "not here"),
        ("UP_SECONDS_MAX", "", "the plumber has ended"),
    ],
)
def test_a_plumber_that_does_not_serve_is_a_problem_and_not_waited_for(
    limit: str, text: str, problem: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 0.5)
    monkeypatch.setattr(module, "PROGRAM", script(root / "plumber.py", text))

    async def body() -> None:
        async with opened() as plumbing:
            assert problem in plumbing.problem
            with pytest.raises(SteadyError):
                await plumbing.make("u")

    run(body())


@pytest.mark.parametrize(
    ("command", "problem"), [(["/bin/sleep", "100"], "said nothing"), (["/bin/ls", "/nowhere"], "No such file")]
)
def test_a_way_out_that_does_not_come_is_a_problem_and_not_waited_for(
    command: list[str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UPLINK_SECONDS_MAX", 0.2)
    monkeypatch.setattr(module, "uplink_command", lambda *_: command)

    async def body() -> None:
        async with opened() as plumbing:
            if "no network namespace" in plumbing.problem:
                pytest.skip(plumbing.problem)
            assert problem in plumbing.problem
            (await plumbing.make("p")).close()  # networks without a way out can be had all the same

    run(body())


def test_a_missing_program_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plumber, "PATH", "/nowhere")
    assert missing_packages() == ["passt", "nftables", "iproute2"]

    async def body() -> None:
        async with opened() as plumbing:
            assert plumbing.problem == "Install what is missing with: apt-get install -y passt nftables iproute2"

    run(body())


def test_pasta_opens_nothing_that_leads_to_the_host() -> None:
    words = uplink_command(7, 12, True)
    assert words[1] == "pasta"
    for switch in ("-t", "-u", "-T", "-U"):
        assert words[words.index(switch) + 1] == "none"
    assert {"--no-map-gw", "--ipv4-only"} <= set(words)
    assert words[-2:] == ["--runas", "12:12"]
    assert "/proc/7/ns/net" in words
    assert "--runas" not in uplink_command(7, None, False)
    assert "mknod" in uplink_command(7, 12, False)[4]


def test_own_addresses_leave_loopback_out() -> None:
    assert not any(address.startswith("127.") for address in own_addresses())
