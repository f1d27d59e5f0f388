"""From the ring of access records to each app's request log: in batches, in a thread, off the request path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from steadyd.errors import SteadyError
from steadyd.proxy.ring import RECORD_PATH_BYTES_MAX, RequestRecord, RequestRing
from steadyd.records.requests import Request, Requests

FLUSH_SECONDS = 0.05
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
        batches: dict[str, list[Request]] = {}
        for drained in self._ring.drain():
            record = self._told(drained)
            if record is not None:
                batches.setdefault(record.service, []).append(_request(record))
        stored = []
        for app_id, rows in batches.items():
            try:
                stored.append((app_id, self._requests.store(app_id, rows)))
            except SteadyError as error:
                logger.warning("%d request records of %s lost: %s", len(rows), app_id, error.message)
        return stored

    def _told(self, record: RequestRecord) -> RequestRecord | None:
        """A record as it is kept."""
        recorded = self._recorded.get(record.service)
        path = recorded(record.path) if recorded is not None else record.path
        return None if path is None or not record.service else record._replace(path=path)


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
    )
