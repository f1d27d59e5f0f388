"""The daemon's premises on this host: its data folder, its short-lived folder, its sockets, and its sandbox."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steadyd.config import Address, Config, runtime_parent
from steadyd.control import SERVICE_ID
from steadyd.errors import SteadyError
from steadyd.runner import sandbox
from steadyd.runner.ground import UID_FIRST
from steadyd.runner.process import run_now
from steadyd.runner.tool import Tools, probe

BACKLOG = 4_096
"""Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn (listen(2))."""

logger = logging.getLogger("steadyd")


@dataclass(frozen=True, slots=True)
class Corner:
    """Short-lived files: `instances` for the apps' sockets, `control` for ours, which no app can enter."""

    root: Path

    @property
    def instances(self) -> Path:
        return self.root / "i"

    @property
    def control(self) -> Path:
        return self.root / "control" / "control.sock"


@contextmanager
def data_folder(config: Config) -> Iterator[None]:
    """The data folder, locked: two daemons must never share one."""
    try:
        config.data.mkdir(parents=True, exist_ok=True)
        # Apps' uids pass through to their own corners; they cannot list.
        config.data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (config.apps, config.blobs, config.data / "engine", config.data / SERVICE_ID):
            folder.mkdir(mode=0o711, exist_ok=True)
        lock = os.open(config.data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise SteadyError(
            "cannot_start", f"{config.data} cannot be used: {error.strerror}. Choose another --data."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SteadyError(
            "cannot_start", f"Another steadyd uses {config.data}. Stop it, or choose another --data."
        ) from None
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def runtime_folder(config: Config) -> Iterator[Corner]:
    """A short path for sockets (unix(7): 108 bytes), empty at each start; the data folder's lock guards it too."""
    digest = hashlib.sha256(os.fsencode(config.data.resolve())).hexdigest()[:8]
    parent = runtime_parent()
    corner = Corner(parent / f"steadyd-{digest}")
    parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if parent.lstat().st_uid != os.geteuid():
        raise SteadyError(
            "cannot_start", f"{parent} belongs to somebody else. Set XDG_RUNTIME_DIR to a folder of yours."
        )
    _clear(corner.root)
    corner.instances.mkdir(mode=0o711, parents=True)
    corner.control.parent.mkdir(mode=0o700)
    try:
        yield corner
    finally:
        _clear(corner.root)


async def sandbox_problem(config: Config, tools: Tools) -> str:
    """Why apps cannot be sandboxed here, with the way out; "" if they can. Decided by really starting a program of
    `tools` under the full policy.

    Raises:
        SteadyError: `cannot_start` where the sandbox is required, or the listener is open to others without it.
    """
    if config.sandbox == "off":
        problem = "The sandbox is switched off. Start without --sandbox off."
    else:
        try:
            await _probe(config, tools)
            return ""
        except SteadyError as error:
            problem = error.message
    if config.sandbox == "required":
        raise SteadyError("cannot_start", f"--sandbox required: {problem}")
    if not config.is_loopback:
        fix = "Fix the sandbox (see: steadyd doctor) or listen on 127.0.0.1."
        raise SteadyError("cannot_start", f"Without the sandbox steadyd only listens on loopback: {problem} {fix}")
    problem = f"No sandbox, so only the operator's own apps run, and guests and sign-up are off. {problem}"
    logger.warning(problem)
    return problem


def bind(listen: Address | None, option: str = "--listen") -> list[socket.socket]:
    """The listening sockets, bound early so that the port is known before anything is printed; none for None."""
    if listen is None:
        return []
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return [socket.create_server(address[:2], family=family, backlog=BACKLOG)]
    except OSError as error:
        # create_server's reason comes with the address once more, in brackets.
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise SteadyError("cannot_start", f"Cannot listen on {listen}: {reason}. Choose another {option}.") from error


def check_passable(folder: Path) -> None:
    """Apps have uids of their own: they must get to their folders below `folder`.

    Raises:
        SteadyError: `cannot_start` with the folder that is closed to them.
    """
    for passed in (folder.resolve(), *folder.resolve().parents):
        if not passed.stat().st_mode & 0o001:
            raise SteadyError("cannot_start", f"Apps cannot pass through {passed}. Run: chmod o+x {passed}")


def write_private(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


# Private


def _clear(folder: Path) -> None:
    """Apps could write into their corners of it: rm(1) goes deeper than Python's stack."""
    run_now(["/bin/rm", "-rf", "--", str(folder)])


async def _probe(config: Config, tools: Tools) -> None:
    uid = UID_FIRST if os.geteuid() == 0 else None
    if uid is not None:
        check_passable(config.data)
    folder = config.data / "engine" / "probe"
    folder.mkdir(mode=0o755, exist_ok=True)
    room = sandbox.Room(folder, tools.engine.folder, uid, {"PATH": "/usr/bin:/bin"}, folder_read_only=True)
    await probe(tools, room)
