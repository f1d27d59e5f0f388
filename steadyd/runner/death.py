"""The death card: what is recorded when an instance ends badly, with one plain sentence."""

from __future__ import annotations

import time

from steadyd.model import Death
from steadyd.runner.failure import Failure, killer, sentence


def death_of(failure: Failure, version: int, app: str) -> Death:
    """The card for `failure` of the app of that name."""
    ended, evidence = failure.ended, failure.evidence
    reached = evidence.reached
    return Death(
        at=time.time(),
        version=version,
        cause=killer(failure),
        exit_code=ended.code if ended else None,
        signal=ended.signal if ended else None,
        uptime_seconds=round(failure.uptime_seconds, 3),
        in_flight=evidence.in_flight,
        log_tail=tuple(failure.lines),
        message=f"Version {version} died: {sentence(failure, app)}",
        memory_peak_bytes=reached.memory_peak_bytes,
        memory_limit_bytes=reached.memory_limit_bytes,
        requests=evidence.asked,
        reached=reached,
    )
