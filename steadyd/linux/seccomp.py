"""The sandbox's seccomp filter: which system calls a program may make at all, as the kernel's own small language.

It denies what Docker's default profile denies to a container without capabilities (moby, profiles/seccomp), and
everything that can make a namespace, the whole of io_uring, and sockets of rare families besides. Denied calls
answer EPERM; only clone3 answers ENOSYS, upon which the C library takes clone, whose flags can be seen here: clone3
hands them over in memory, which a filter cannot read. Tracing or killing a program would say less than an error does.

The kernel remembers the calls that pass whatever their arguments are, and skips the filter for those
(seccomp(2); since Linux 5.11), so that the length of the list costs nothing.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from steadyd.errors import SteadyError

ARCHITECTURES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Machine → AUDIT_ARCH_* (linux/audit.h). The order is that of the columns in DENIED."""
NEWEST = 469
"""The newest number that this list was made with, file_setattr of Linux 6.17, the same on both machines. What comes
later is denied until somebody has looked at it; and so is x32, whose numbers begin at 1 << 30."""

DENIED: Mapping[str, tuple[int | None, int | None]] = {
    # Mounts, roots and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "setns": (308, 268),
    "unshare": (272, 97),
    # Other kernels and other code in this one
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "create_module": (174, None),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "bpf": (321, 280),
    "lsm_get_self_attr": (459, 459),
    "lsm_set_self_attr": (460, 460),
    "lsm_list_modules": (461, 461),
    # The whole machine
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    # Other processes and their memory
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    # Keys, which no namespace parts
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Files by number instead of by path, and watching them all
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262),
    # Where most of the kernel's escapes of late began
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "modify_ldt": (154, None),
    # Where memory lies
    "mbind": (237, 235),
    "get_mempolicy": (239, 236),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # What is long gone, or never came
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "getpmsg": (181, None),
    "putpmsg": (182, None),
    "afs_syscall": (183, None),
    "tuxcall": (184, None),
    "security": (185, None),
    "vserver": (236, None),
    "epoll_ctl_old": (214, None),
    "epoll_wait_old": (215, None),
}
"""Name → its number on x86_64 (asm/unistd_64.h) and on aarch64 (asm-generic/unistd.h); None where it has none."""

CLONE3 = 435
LOOKED_INTO: Mapping[str, tuple[int, int]] = {
    "clone": (56, 220),
    "personality": (135, 92),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
}
"""Calls whose first or second argument decides; the columns of DENIED."""
NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h); clone knows no CLONE_NEWTIME."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""The ones that Docker allows: Linux with or without 32 bits and an old version number, and asking which it is."""
TERMINAL_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into a terminal that others read (CVE-2017-5226)."""
FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK, by which a program lists its interfaces."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF_LD|W|ABS, BPF_JMP|JEQ, |JGE and |JSET with a constant, BPF_RET (linux/bpf_common.h)."""
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
"""Offsets in struct seccomp_data (linux/seccomp.h). Both machines keep an argument's low half first."""
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with the error in its low half."""
EPERM, ENOSYS = 1, 38
FARTHEST = 255
"""Instructions that a jump can skip: it is one byte."""


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction. Jumps name their target; "" is the next instruction."""

    code: int
    value: int
    yes: str = ""
    no: str = ""


@cache
def program(machine: str | None = None) -> bytes:
    """The filter for `machine` (this one by default), as an array of struct sock_filter: what `bwrap --seccomp` reads.

    Raises:
        SteadyError: `cannot_start` for a machine whose numbers we do not know.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise SteadyError("cannot_start", f"There is no system call filter for {machine}. Use a machine with {known}.")
    return assemble(list(_steps(machine)))


def assemble(steps: Sequence[Step | str]) -> bytes:
    """Instructions as bytes. A string is a label: the place of the instruction that follows it."""
    places: dict[str, int] = {}
    code: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            places[step] = len(code)
        else:
            code.append(step)
    return b"".join(_packed(step, place, places) for place, step in enumerate(code))


# Private


def _packed(step: Step, place: int, places: Mapping[str, int]) -> bytes:
    skips = [places[label] - place - 1 if label else 0 for label in (step.yes, step.no)]
    assert all(0 <= skip <= FARTHEST for skip in skips), "a filter only jumps forward, and not far"
    return struct.pack("=HBBI", step.code, *skips, step.value)


def _steps(machine: str) -> Iterator[Step | str]:
    column = list(ARCHITECTURES).index(machine)
    yield Step(LOAD, ARCHITECTURE_AT)
    yield Step(EQUAL, ARCHITECTURES[machine], no="refuse")  # int 0x80 brings the numbers of another table
    yield Step(LOAD, NUMBER_AT)
    yield Step(AT_LEAST, NEWEST + 1, yes="refuse")
    yield Step(EQUAL, CLONE3, yes="unknown")
    for numbers in DENIED.values():
        if (number := numbers[column]) is not None:
            yield Step(EQUAL, number, yes="refuse")
    for name, both in LOOKED_INTO.items():
        yield Step(EQUAL, both[column], yes=name)
    yield Step(ANSWER, ALLOW)
    yield from _arguments()
    yield "allow"
    yield Step(ANSWER, ALLOW)
    yield "refuse"
    yield Step(ANSWER, REFUSE | EPERM)
    yield "unknown"
    yield Step(ANSWER, REFUSE | ENOSYS)


def _arguments() -> Iterator[Step | str]:
    """The calls that are looked into. The kernel itself takes only the low 32 bits of each of these arguments."""
    yield "clone"
    yield _argument(0)
    yield Step(ANY_BIT, NAMESPACE_FLAGS, yes="refuse", no="allow")
    yield "personality"
    yield _argument(0)
    yield from _one_of(PERSONALITIES, "allow", "refuse")
    yield "ioctl"
    yield _argument(1)
    yield from _one_of(TERMINAL_REQUESTS, "refuse", "allow")
    yield "socket"
    yield "socketpair"
    yield _argument(0)
    yield from _one_of(FAMILIES, "allow", "refuse")


def _argument(position: int) -> Step:
    return Step(LOAD, ARGUMENTS_AT + 8 * position)


def _one_of(values: Sequence[int], found: str, other: str) -> Iterator[Step]:
    for value in values[:-1]:
        yield Step(EQUAL, value, yes=found)
    yield Step(EQUAL, values[-1], yes=found, no=other)
