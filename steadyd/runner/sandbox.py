"""The sandbox's policy: what an instance sees, as one pure function from a `Room` to bubblewrap's arguments.

Tried facts behind the order of things: bubblewrap run by root is root on the host even with `--uid`, so the app's
uid is taken before it is executed; its own command line and environment can be read inside as `/proc/1/*`, so it
gets an empty environment and reads every option from a descriptor (`--args`); and it forwards no signal, so the
group to ask is the one of its child, told through `--info-fd`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from steadyd.errors import SteadyError
from steadyd.runner.process import SETPRIV, identity_options, run_now

INNER_ID = 1000
ARGS_FD = 4
INFO_FD = 5
SECCOMP_FD = 6
"""Where bubblewrap reads the filter of linux/seccomp.py: callers pass a file that holds it."""
BWRAP = "/usr/bin/bwrap"
COMMAND = (BWRAP, "--args", str(ARGS_FD), "--")
"""What is executed, under the app's uid; every option comes through the descriptor."""
TMP_BYTES_MAX = 64 << 20
"""The private /tmp, and /dev/shm beside it; what lies there counts as the app's memory too (tmpfs(5))."""
MASKED = ("/proc/cmdline", "/proc/interrupts")
"""What proc(5) lets anybody read about the host and no program needs: how its kernel was started, which may hold
secrets, and the moments of its interrupts. The rest of what Docker masks is root's alone, and nobody inside is root.
A device on a mount without devices cannot be opened: EACCES."""

APP = "/app"
ENGINE = "/steady"
BUNDLE = "/bundle"
RUNTIME = "/run/steady"
SYSTEM_LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")

Network = Literal["own", "entered"]
"""A namespace of its own with nothing in it, or one that was entered before bubblewrap started."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one sandboxed program gets. Paths are the host's."""

    folder: Path
    """Bound at /app, which is the working directory."""
    engine: Path
    """Bun and our scripts, read-only at /steady."""
    uid: int | None
    """The host uid and gid the program runs as; None keeps the daemon's own (not root)."""
    environ: Mapping[str, str] = field(default_factory=dict)
    runtime: Path | None = None
    """The private socket folder, at /run/steady."""
    modules: Path | None = None
    """Installed dependencies, read-only at /app/node_modules."""
    read_only: Sequence[str] = ()
    """Names directly in the folder that must not be changed, where file ownership cannot say so."""
    extra: Mapping[str, Path] = field(default_factory=dict)
    """Further writable folders: inner path → host path."""
    shown: Mapping[str, Path] = field(default_factory=dict)
    """Further read-only files and folders."""
    folder_read_only: bool = False
    working: str = APP
    """The working directory."""
    network: Network = "own"


@dataclass(frozen=True, slots=True)
class System:
    """What the policy must know of this host."""

    links: Mapping[str, str]
    """Top-level system folders: name → link target, or "" where it is a real folder."""
    disables_userns: bool = True
    """Whether bubblewrap knows --disable-userns (since 0.8)."""
    masked: Sequence[str] = MASKED
    """Those of MASKED that exist here."""


def options(room: Room, system: System) -> list[str]:
    """bubblewrap's options for `room`."""
    words = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--unshare-net"] if room.network == "own" else []
    words += ["--disable-userns"] if system.disables_userns else []
    words += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "steady"]
    words += ["--uid", str(INNER_ID), "--gid", str(INNER_ID), "--info-fd", str(INFO_FD), "--seccomp", str(SECCOMP_FD)]
    words += _system(room, system)
    words += ["--ro-bind" if room.folder_read_only else "--bind", str(room.folder), APP]
    for name in room.read_only:
        words += ["--ro-bind", str(room.folder / name), f"{APP}/{name}"]
    if room.modules is not None:
        words += ["--ro-bind", str(room.modules), f"{APP}/node_modules"]
    if room.runtime is not None:
        words += ["--bind", str(room.runtime), RUNTIME]
    for inner, outer in room.extra.items():
        words += ["--bind", str(outer), inner]
    for inner, outer in room.shown.items():
        words += ["--ro-bind", str(outer), inner]
    words += ["--remount-ro", "/", "--chdir", room.working]
    for name, value in room.environ.items():
        words += ["--setenv", name, value]
    return words


def bare(folder: Path, uid: int | None, linux: bool) -> list[str]:
    """The host command that runs a program in `folder` without a sandbox: it dies with the daemon where the system
    can do that, and never runs as root."""
    words = ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder)]
    if not linux:
        return words
    return [SETPRIV, *identity_options(uid), "--no-new-privs", "--pdeathsig", "KILL", *words]


def check_installed() -> None:
    """Raise `cannot_start` with the fixing command if the sandbox's programs are missing."""
    for program, package in ((BWRAP, "bubblewrap"), (SETPRIV, "util-linux")):
        if not _is_program(program):
            message = f"{program} is missing or cannot be executed. Install it with: apt-get install {package}"
            raise SteadyError("cannot_start", message)


def look_at_system() -> System:
    """What this host is like, asked once at start-up."""
    links = {}
    for name in SYSTEM_LINKS:
        path = f"/{name}"
        if os.path.islink(path):
            links[name] = os.readlink(path)
        elif os.path.isdir(path):
            links[name] = ""
    knows = _is_program(BWRAP) and run_now([BWRAP, "--disable-userns", "--version"]) == 0
    return System(links, knows, [path for path in MASKED if os.path.exists(path)])


# Private


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _system(room: Room, system: System) -> list[str]:
    """A minimal, read-only system: /usr, a private /tmp, /proc and /dev, and an /etc with two users."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name, target in system.links.items():
        words += (
            ["--symlink", target.removeprefix("/"), f"/{name}"] if target else ["--ro-bind", f"/{name}", f"/{name}"]
        )
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in system.masked:
        words += ["--ro-bind", "/dev/null", path]
    for path in ("/tmp", "/dev/shm"):
        words += ["--size", str(TMP_BYTES_MAX), "--tmpfs", path]
    words += ["--remount-ro", "/dev"]
    return [*words, "--ro-bind", str(room.engine), ENGINE, "--ro-bind", str(room.engine / "etc"), "/etc"]
