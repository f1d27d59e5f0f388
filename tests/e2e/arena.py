"""Where hostile apps are tried: a daemon with short deadlines, and what must hold after every attack."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from tests.served import Daemon, until

START_SECONDS = 2.0
GRACE_SECONDS = 0.5
LOG_BYTES = 3 << 20
SLACK_SECONDS = 1.0
STEADY_LOOKS = 30
RESIDENT_GROWTH_BYTES_MAX = 48 << 20
DESCRIPTORS_GROWTH_MAX = 16
"""An app and its neighbour that stay awake: three of the request log each, and three of the instance."""
HELLO = 'export default { fetch: () => new Response("hello") };'


def held(daemon: Daemon) -> tuple[int, int]:
    """Resident bytes and open descriptors of the daemon."""
    folder = Path(f"/proc/{daemon.process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(folder / "fd"))


def settle(daemon: Daemon) -> None:
    """Wait until the daemon has in place what it keeps ready: networks, sandboxes that wait."""
    counts: list[int] = []

    def is_steady() -> bool:
        counts.append(held(daemon)[1])
        return len(set(counts[-STEADY_LOOKS:])) == 1 and len(counts) >= STEADY_LOOKS

    until(is_steady, 10)


def app(daemon: Daemon, name: str) -> dict[str, Any]:
    return dict(daemon.api("GET", f"/apps/{name}").json()["app"])


def end(daemon: Daemon, name: str) -> None:
    """Stop it: in time, and with nothing of it left."""
    began = time.monotonic()
    assert daemon.api("POST", f"/apps/{name}/stop", json={"hold": True}).status_code == 200
    assert time.monotonic() - began < GRACE_SECONDS + 0.5 + SLACK_SECONDS + SLACK_SECONDS
    identity = app_folder(daemon, name)
    # A candidate that was refused just before is killed already, and takes a moment to be gone.
    until(lambda: not [pid for pid in daemon.instances() if identity in mounts(pid)])


def app_folder(daemon: Daemon, name: str) -> str:
    """Where it lives: found by the file that only it ships."""
    (found,) = (daemon.data / "apps").glob(f"*/app/{name}.txt")
    return str(found.parent)


def mounts(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/mountinfo").read_text()
    return ""


def create(daemon: Daemon, name: str, source: str) -> None:
    daemon.create(name, {"index.ts": source, f"{name}.txt": "mine"})
