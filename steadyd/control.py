"""The control plane as a service: Hypercorn and the web app on an internal Unix socket, reached like any app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig
from hypercorn.typing import ASGIFramework

from steadyd.proxy.service import Holder

KEEP_ALIVE_SECONDS = 24 * 3600.0
"""The data plane decides when an upstream connection ends; a race over a shorter time-out must not exist."""
GRACEFUL_SECONDS = 2.0
BACKLOG = 1_024
SERVICE_ID = "control"
SECRET_PATHS = ("/login/", "/signup/", "/reset/")
"""What follows is a secret that works once."""
OWN_PATHS = ("/apps/steady/", "/api/apps/steady/")
"""Who looks at the control plane's own log, requests and metrics."""


def recorded(path: str) -> str | None:
    """A path as the request log may have it: links that work once lose their secret. None for what is not recorded:
    who watches the log would else find nothing in it but that."""
    if path.startswith(OWN_PATHS):
        return None
    return next((f"{secret}…" for secret in SECRET_PATHS if path.startswith(secret)), path)


class ControlUpstream:
    """The one instance of the control plane: this process."""

    version = 0

    def __init__(self, address: str) -> None:
        self.address = address
        self.pool: list[Any] = []
        self.retired = False

    def unreachable(self) -> None:
        """Only while the daemon stops."""

    def broke_off(self, holder: Holder) -> None:
        """Only while the daemon stops."""

    def release(self, holder: Holder) -> None:
        """Nothing to count: the control plane never sleeps."""


class ControlPlane:
    """A service that always answers. `body_bytes_max` is the upload limit in bytes."""

    id = SERVICE_ID
    name = SERVICE_ID
    owned_by_steadyd = True
    hidden = False
    barrier = None

    def __init__(self, address: Path, body_bytes_max: int) -> None:
        self.body_bytes_max: int | None = body_bytes_max
        self.asked = 0
        """Requests since the start."""
        self._upstream = ControlUpstream(str(address))
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def claim(self, holder: Holder) -> None:
        self.asked += 1
        holder.granted(self._upstream)

    def forget(self, holder: Holder) -> None:
        """Nobody waits here."""

    async def open(self, web: Callable[..., Awaitable[None]]) -> None:
        """Start answering on the internal socket.

        Raises:
            OSError: the socket cannot be made.
        """
        # Bound by us and listening from here on: nobody has to wait for Hypercorn.
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(self._upstream.address)
        bound.listen(BACKLOG)
        config = HypercornConfig()
        config.bind = [f"fd://{bound.detach()}"]
        config.keep_alive_timeout = KEEP_ALIVE_SECONDS
        config.graceful_timeout = GRACEFUL_SECONDS
        config.include_server_header = False
        config.include_date_header = True
        config.accesslog = None
        config.errorlog = "-"
        config.loglevel = "WARNING"
        self._serving = asyncio.create_task(serve(cast(ASGIFramework, web), config, shutdown_trigger=self._stopped))

    async def close(self) -> None:
        """Stop answering; requests under way get a moment."""
        self._upstream.retired = True
        self._stop.set()
        if self._serving is not None:
            await self._serving

    # Private

    async def _stopped(self) -> None:
        await self._stop.wait()
