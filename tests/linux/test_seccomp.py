"""The filter: its numbers against the system's headers, its decisions one by one, and the kernel's own answers."""

from __future__ import annotations

import json
import os
import platform
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.linux.seccomp import (
    ALLOW,
    ARCHITECTURES,
    CLONE3,
    DENIED,
    FARTHEST,
    LOOKED_INTO,
    NEWEST,
    Step,
    assemble,
    program,
)
from steadyd.runner.engine import Engine
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import Tools
from tests.runner.conftest import UID, run

EPERM, ENOSYS, PASSES = 1, 38, 0
HERE = Path(__file__).parent
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
MACHINES = pytest.mark.parametrize("machine", list(ARCHITECTURES))
VSOCK, ALG, PACKET = 40, 38, 17
SIGCHLD, NEWUSER, NEWNET = 17, 0x10000000, 0x40000000
THREAD = 0x3D0F00
"""The flags with which the C library makes a thread."""
TCGETS, TIOCSTI, TIOCLINUX = 0x5401, 0x5412, 0x541C
ARGUMENTS: list[tuple[str, tuple[int, ...], int]] = [
    ("clone", (SIGCHLD,), PASSES),
    ("clone", (THREAD,), PASSES),
    ("clone", (SIGCHLD | NEWUSER,), EPERM),
    ("clone", (SIGCHLD | NEWNET,), EPERM),
    ("personality", (0xFFFFFFFF,), PASSES),
    ("personality", (0,), PASSES),
    ("personality", (0x0040000,), EPERM),  # ADDR_NO_RANDOMIZE
    ("ioctl", (0, TCGETS), PASSES),
    ("ioctl", (0, TIOCSTI), EPERM),
    ("ioctl", (0, TIOCLINUX), EPERM),
    ("ioctl", (0, TIOCSTI | 1 << 32), EPERM),  # of which the kernel takes the low half
    *[("socket", (family, 1), PASSES) for family in (1, 2, 10)],
    ("socket", (16, 3), PASSES),
    *[("socket", (family, 1), EPERM) for family in (VSOCK, ALG, PACKET, 99)],
    ("socketpair", (1, 1), PASSES),
    ("socketpair", (VSOCK, 1), EPERM),
]


def column(machine: str) -> int:
    return list(ARCHITECTURES).index(machine)


def decide(machine: str, number: int, arguments: Sequence[int] = (), architecture: int | None = None) -> int:
    """What the filter says, by the rules of the kernel's language: an error number, or 0 to pass."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES[machine] if architecture is None else architecture, 0, *given)
    code = list(struct.iter_unpack("=HBBI", program(machine)))
    taken = place = 0
    while True:
        kind, yes, no, value = code[place]
        place += 1
        if kind == 0x20:
            taken = struct.unpack_from("<I", data, value)[0]
        elif kind == 0x06:
            return 0 if value == ALLOW else value & 0xFFFF
        else:
            holds = {0x15: taken == value, 0x35: taken >= value, 0x45: bool(taken & value)}[kind]
            place += yes if holds else no


# ------------------------------------------------------------------------------------------------- the list


@MACHINES
def test_the_numbers_are_those_of_the_headers(machine: str) -> None:
    """What the headers do not know is newer than they are, or has no number on this machine."""
    if not HEADERS[machine].is_file():
        pytest.skip("no C headers here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in found}
    newest = max(number for name, number in known.items() if name not in ("syscalls", "arch_specific_syscall"))
    ours = {name: both[column(machine)] for name, both in {**DENIED, **LOOKED_INTO}.items()}
    old = {name: number for name, number in ours.items() if number is None or number <= newest}
    assert old == {name: known.get(name) for name in old}
    assert known["clone3"] == CLONE3


@MACHINES
def test_no_number_is_listed_twice(machine: str) -> None:
    both = [*DENIED.values(), *LOOKED_INTO.values()]
    numbers = [pair[column(machine)] for pair in both if pair[column(machine)] is not None]
    assert len(numbers) == len(set(numbers))
    assert max(number or 0 for number in numbers) <= NEWEST


# ------------------------------------------------------------------------------------------------- its decisions


@MACHINES
def test_every_number_is_decided_by_the_list(machine: str) -> None:
    denied = {pair[column(machine)] for pair in DENIED.values()}
    looked_into = {pair[column(machine)] for pair in LOOKED_INTO.values()}
    for number in set(range(NEWEST + 1)) - looked_into:
        expected = ENOSYS if number == CLONE3 else EPERM if number in denied else PASSES
        assert decide(machine, number) == expected, number


@MACHINES
def test_what_came_after_the_list_is_denied_and_so_is_x32(machine: str) -> None:
    for number in (NEWEST + 1, 1_000, 1 << 30 | 39, 0xFFFFFFFF):
        assert decide(machine, number) == EPERM


@MACHINES
def test_calls_the_way_of_another_machine_are_denied(machine: str) -> None:
    i386, arm = 0x40000003, 0x40000028
    for number in (1, 20, 39):
        assert decide(machine, number, architecture=i386) == decide(machine, number, architecture=arm) == EPERM


@MACHINES
@pytest.mark.parametrize(("name", "arguments", "expected"), ARGUMENTS)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert decide(machine, LOOKED_INTO[name][column(machine)], arguments) == expected


def test_a_machine_whose_numbers_are_unknown_has_no_filter() -> None:
    with pytest.raises(SteadyError, match="riscv64") as caught:
        program("riscv64")
    assert caught.value.code == "cannot_start"


def test_no_jump_is_farther_than_the_language_allows() -> None:
    passing = Step(6, ALLOW)
    jump = Step(0x15, 0, yes="end")
    assert assemble([jump, *[passing] * FARTHEST, "end", passing])[2] == FARTHEST
    with pytest.raises(AssertionError):
        assemble([jump, *[passing] * (FARTHEST + 1), "end", passing])


# ------------------------------------------------------------------------------------------------- the kernel's answers


async def told(root: Path, bun: Engine, script: str, **environ: str) -> dict[str, Any]:
    """What a script of this folder prints when it runs in the sandbox."""
    folder = root / "app"
    folder.mkdir(exist_ok=True)
    (folder / "script.ts").write_text((HERE / script).read_text())
    if UID is not None:
        os.chown(folder, UID, UID)
    room = Room(folder, bun.folder, UID, {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **environ})
    result = await Tools(bun, sandboxed=True).run(room, ["run", "{app}/script.ts"], 30.0)
    assert result.ok, result.last_lines()
    return result.answer()


@pytest.mark.sandbox
def test_the_kernel_answers_as_the_list_says(root: Path, bun: Engine) -> None:
    """Every denied call, every argument that matters, and the ways around: clone3, x32, what comes later."""
    here = column(platform.machine())
    calls: dict[str, tuple[list[int], int]] = {
        name: ([number], EPERM) for name, pair in DENIED.items() if (number := pair[here]) is not None
    }
    for name, arguments, expected in ARGUMENTS:
        if (name, expected) != ("clone", PASSES):  # which would leave us with two of the prober
            calls[f"{name} {arguments}"] = ([LOOKED_INTO[name][here], *arguments], expected)
    passed_on = {f"ioctl {(0, TCGETS)}": 25, f"socketpair {(1, 1)}": 14}  # the kernel's own ENOTTY and EFAULT
    calls |= {"clone3": ([CLONE3], ENOSYS), "x32": ([1 << 30 | 39], EPERM), "later": ([NEWEST + 1], EPERM)}

    found = run(told(root, bun, "probe.ts", CALLS=json.dumps([call for call, _ in calls.values()])))["answers"]
    assert dict(zip(calls, found, strict=True)) == {name: expected for name, (_, expected) in calls.items()} | passed_on


@pytest.mark.sandbox
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only there is int 0x80")
def test_the_32_bit_way_in_is_closed(root: Path, bun: Engine) -> None:
    getpid = 20
    assert run(told(root, bun, "probe.ts", CALLS="[[39]]", INT80=str(getpid))) == {"answers": [PASSES], "int80": EPERM}


@pytest.mark.sandbox
def test_what_apps_do_still_works(root: Path, bun: Engine) -> None:
    found = run(told(root, bun, "works.ts"))
    for text in (found.pop("status"), found.pop("init")):
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert [status[name] for name in ("Seccomp", "NoNewPrivs", "CapEff")] == ["2", "1", "0" * 16]
    assert found == {
        "spawn": "one",
        "child": "two",
        "worker": 42,
        "sqlite": {"n": 7},
        "websocket": "hello!",
        "watch": "file",
        "interfaces": ["lo"],
    }
