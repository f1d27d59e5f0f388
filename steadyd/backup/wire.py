"""What Litestream is told while it runs: HTTP over its control socket, one short connection for each call.

Its own command line does the same and costs 36 ms a call; this costs 0.6 ms. Source: litestream's server.go (0.5.17).
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

ANSWER_BYTES_MAX = 4 << 20
CALL_SECONDS_MAX = 5.0
"""For calls that wait for nobody: 1 ms is usual."""
GRACE_SECONDS = 1.0
"""Litestream's own deadline comes first: its answer says why."""


class Unanswered(Exception):
    """Litestream did not answer in time, or is not there."""


class Refused(Exception):
    """Litestream answered that it cannot; the text is its own."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync came to: everything up to `txid` is in local files, up to `replicated` in the replica."""

    txid: int
    replicated: int


class Wire:
    """Litestream's control socket. Every call has a deadline and raises `Unanswered` or `Refused`. Paths are those that
    Litestream sees."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def version(self, seconds: float = CALL_SECONDS_MAX) -> str:
        """Which Litestream answers there."""
        said = await self._call("GET", "/info", None, seconds)
        return str(said.get("version", ""))

    async def register(self, path: str, url: str) -> None:
        """Replicate the database to `url` from now on. Nothing is opened before the first sync."""
        await self._call("POST", "/register", {"path": path, "replica_url": url}, CALL_SECONDS_MAX)

    async def unregister(self, path: str, seconds: float) -> int:
        """Sync a last time and close it; returns the last transaction, 0 for what was not registered. It is closed too
        where the sync fails."""
        body = {"path": path, "timeout": _whole(seconds)}
        said = await self._call("POST", "/unregister", body, _whole(seconds) + GRACE_SECONDS)
        return int(said.get("txid") or 0)

    async def sync(self, path: str, seconds: float, wait: bool = True) -> Synced:
        """Copy what was committed into local files and, with `wait`, these to the replica.

        The first is a call without a deadline of Litestream's own. In it, it may begin the read transaction that keeps
        writers from restarting their log before it was read; with a deadline, the end of the call would end that too,
        and what was committed before a restart would be missed without a word (0.5.17, server.go handleSync and db.go
        acquireReadLock).
        """
        said = await self._call("POST", "/sync", {"path": path}, _whole(seconds) + GRACE_SECONDS)
        if wait:
            body = {"path": path, "wait": True, "timeout": _whole(seconds)}
            said = await self._call("POST", "/sync", body, _whole(seconds) + GRACE_SECONDS)
        try:
            return Synced(int(said["txid"]), int(said["replicated_txid"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"an answer that is none: {said}") from error

    async def registered(self) -> list[str]:
        """Paths of the databases that it replicates."""
        said = await self._call("GET", "/list", None, CALL_SECONDS_MAX)
        return [str(one["path"]) for one in said.get("databases", [])]

    async def phase(self, path: str) -> str:
        """What it is doing with a database at this moment, in its own words; "" for nothing."""
        said = await self._call("GET", f"/debug/sync-status?path={quote(path, safe='')}", None, CALL_SECONDS_MAX)
        [one] = said.get("databases") or [{}]
        return str(one.get("phase", "")) if one.get("active") else ""

    # Private

    async def _call(
        self, method: str, target: str, body: Mapping[str, object] | None, seconds: float
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                status, content = await self._exchange(method, target, body)
        except TimeoutError:
            raise Unanswered(f"no answer to {target} within {seconds:g} s") from None
        except OSError as error:
            raise Unanswered(error.strerror or str(error)) from error
        said = _decoded(content)
        if status != 200:
            raise Refused(str(said.get("error") or f"status {status}"))
        return said

    async def _exchange(self, method: str, target: str, body: Mapping[str, object] | None) -> tuple[int, bytes]:
        """HTTP/1.0: an answer ends with its connection and comes in one piece."""
        content = json.dumps(body).encode() if body is not None else b""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            head = f"{method} {target} HTTP/1.0\r\nHost: litestream\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            answer = bytearray()
            while piece := await reader.read(64 << 10):
                answer += piece
                if len(answer) > ANSWER_BYTES_MAX:
                    raise OSError(f"an answer of more than {ANSWER_BYTES_MAX >> 20} MiB")
        finally:
            writer.close()
        top, separator, rest = bytes(answer).partition(b"\r\n\r\n")
        words = top.split(b" ", 2)
        if not separator or len(words) < 2 or not words[1].isdigit():
            raise OSError("the answer ended early")
        return int(words[1]), rest


# Private


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _whole(seconds: float) -> int:
    """Litestream counts whole seconds, and takes 0 for its default."""
    return max(1, math.ceil(seconds))
