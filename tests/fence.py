"""Executes the rest of its words where the kernel refuses some system calls, for all that they start too.

`python fence.py userns COMMAND…`: no user namespace can be made, EPERM, as by the security module of Ubuntu 24.04.
`python fence.py limit COMMAND…`: none can be made, because user.max_user_namespaces is 0 in a namespace of ours.
`python fence.py container COMMAND…`: what a container without privileges may not (our own filter is Docker's, nearly).
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from steadyd.linux import seccomp
from steadyd.linux.seccomp import ANSWER, ANY_BIT, EQUAL, LOAD, Step

NEWUSER = 0x10000000
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """struct sock_fprog (linux/filter.h)."""

    _fields_ = (("count", ctypes.c_ushort), ("code", ctypes.c_char_p))


def without_user_namespaces() -> Iterator[Step | str]:
    here = list(seccomp.ARCHITECTURES).index(platform.machine())
    yield Step(LOAD, seccomp.NUMBER_AT)
    yield Step(EQUAL, seccomp.CLONE3, yes="unknown")
    yield Step(EQUAL, seccomp.DENIED["unshare"][here] or 0, yes="flags")
    yield Step(EQUAL, seccomp.LOOKED_INTO["clone"][here], yes="flags", no="allow")
    yield "flags"
    yield Step(LOAD, seccomp.ARGUMENTS_AT)
    yield Step(ANY_BIT, NEWUSER, yes="refuse", no="allow")
    yield "refuse"
    yield Step(ANSWER, seccomp.REFUSE | seccomp.EPERM)
    yield "unknown"
    yield Step(ANSWER, seccomp.REFUSE | seccomp.ENOSYS)
    yield "allow"
    yield Step(ANSWER, seccomp.ALLOW)


def main(kind: str, command: list[str]) -> None:
    if kind == "limit":
        forbid_more()
    else:
        filter_calls(seccomp.program() if kind == "container" else seccomp.assemble(list(without_user_namespaces())))
    os.execvp(command[0], command)


def filter_calls(code: bytes) -> None:
    if os.geteuid() != 0:
        libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(Program(len(code) // 8, code))) != 0:
        raise OSError(ctypes.get_errno(), "no filter")


def forbid_more() -> None:
    """A user namespace in which everybody is who they were, and in which the limit is our own."""
    us = os.getpid()
    reading, writing = os.pipe()
    if (helper := os.fork()) == 0:  # only from outside can more than one user be mapped
        os.read(reading, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{us}/{name}", "w") as file:
                file.write("0 0 4294967295")
        os._exit(0)
    if libc.unshare(NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    os.write(writing, b"!")
    os.waitpid(helper, 0)
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
