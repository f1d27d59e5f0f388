"""From the ring of access records to each app's request log: in batches, in a thread, off the request path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from steadyd.errors import SteadyError
from steadyd.proxy.ring import RECORD_PATH_BYTES_MAX, RequestRecord, RequestRing
from steadyd.records.heads import Heads, masked
from steadyd.records.requests import Request, Requests

FLUSH_SECONDS = 0.05
HEADS_AT_ONCE_MAX = 64
"""Requests of one app whose headers are kept from one drain: the failed and slow ones first, then the newest."""
MASKED_MAX = 1_024
"""Heads that are known masked; most repeat."""
EVERYTHING: Mapping[str, Callable[[str], str | None]] = {}

logger = logging.getLogger("steadyd.telemetry")


class Telemetry:
    """Drains the ring every 50 ms, which is at most what a crash loses, and before anybody reads the newest.
    `recorded` says for some services, by their id, how a path is kept; None: not at all."""

    def __init__(
        self, ring: RequestRing, requests: Requests, recorded: Mapping[str, Callable[[str], str | None]] = EVERYTHING
    ) -> None:
        self._ring = ring
        self._recorded = recorded
        self._requests = requests
        requests.flush = self.flush
        self._thread = ThreadPoolExecutor(1, "telemetry")
        self._seen = 0
        self._lost = 0
        self._masked = _Masked()

    async def run(self) -> None:
        """The loop; cancelled at the daemon's stop."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            if self._ring.written != self._seen:
                await self.flush()

    async def flush(self) -> None:
        """Return when everything finished so far is in the logs and with the followers."""
        self._seen = self._ring.written
        for app_id, rows in await asyncio.wrap_future(self._thread.submit(self._store)):
            for row in rows:
                self._requests.feed.publish(app_id, row)
        if self._ring.lost > self._lost:
            logger.warning(
                "%d request records lost: they came faster than they could be kept", self._ring.lost - self._lost
            )
            self._lost = self._ring.lost

    async def close(self) -> None:
        await self.flush()
        self._thread.shutdown(wait=True)
        self._requests.close()

    # Private

    def _store(self) -> list[tuple[str, list[Request]]]:
        batches: dict[str, list[tuple[Request, int]]] = {}
        for drained in self._ring.drain():
            record = self._told(drained)
            if record is not None:
                batches.setdefault(record.service, []).append((_request(record), record.number))
        stored = []
        for app_id, batch in batches.items():
            rows = [row for row, _ in batch]
            try:
                # An address in a head may hold what the rule takes out of paths.
                heads = {} if app_id in self._recorded else self._kept(batch)
                stored.append((app_id, self._requests.store(app_id, rows, heads)))
            except SteadyError as error:
                logger.warning("%d request records of %s lost: %s", len(rows), app_id, error.message)
        return stored

    def _told(self, record: RequestRecord) -> RequestRecord | None:
        """A record as it is kept."""
        if not record.service:
            return None
        recorded = self._recorded.get(record.service)
        if recorded is None:
            return record  # nearly all
        path = recorded(record.path)
        return None if path is None else record._replace(path=path)

    def _kept(self, batch: list[tuple[Request, int]]) -> dict[str, Heads]:
        """The heads that are kept of a batch, masked."""
        marked = [each for each in batch if each[0].is_marked]
        others = [each for each in batch if not each[0].is_marked]
        chosen = [*marked[-HEADS_AT_ONCE_MAX:], *reversed(others)][:HEADS_AT_ONCE_MAX]
        kept = {}
        for row, number in chosen:
            asked, answered = self._ring.heads(number)
            if asked:
                block = asked.partition(b"\r\n")[2]  # without the request line, whose query nobody keeps
                kept[row.request_id] = Heads(self._masked[block], self._masked[answered], row.is_marked)
        return kept


# Private


def _request(record: RequestRecord) -> Request:
    return Request(
        id=0,
        at=record.started_at / 1e6,
        request_id=record.request_id,
        method=record.method,
        path=record.path,
        status=record.status,
        error=record.error,
        client=record.client,
        request_bytes=record.request_bytes,
        response_bytes=record.answer_bytes,
        gate_us=record.gate_us,
        app_us=record.upstream_us,
        total_us=record.total_us,
        repeatable=record.repeatable and len(record.path.encode()) < RECORD_PATH_BYTES_MAX,
        version=record.version,
    )


class _Masked(dict[bytes, str]):
    """Masked heads; most repeat from request to request. Emptied whole when full."""

    def __missing__(self, block: bytes) -> str:
        if len(self) >= MASKED_MAX:
            self.clear()
        text = self[block] = masked(block)
        return text
