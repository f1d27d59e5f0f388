"""The death card: what is recorded when an instance ends badly, with one plain sentence."""

from __future__ import annotations

import time

from steadyd.model import Death
from steadyd.runner.start import Failure


def death_of(failure: Failure, version: int, in_flight: int = 0) -> Death:
    """The card for `failure`; `in_flight` requests were cut by it."""
    ended = failure.ended
    return Death(
        at=time.time(),
        version=version,
        cause=failure.cause,
        exit_code=ended.code if ended else None,
        signal=ended.signal if ended else None,
        uptime_seconds=round(failure.uptime_seconds, 3),
        in_flight=in_flight,
        log_tail=tuple(failure.lines),
        message=f"Version {version} died: {failure.message}",
    )
