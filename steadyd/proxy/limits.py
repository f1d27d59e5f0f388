"""The data plane's named limits, as one frozen value. Units end the names; 0 turns a limit off."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024

ANSWER_HEADER_BYTES_MAX = 64 * 1024
"""The head of one answer; Node's and Bun's own default for a request is 16 KiB, HAProxy's buffer is 16 KiB."""
ANSWER_HEADER_COUNT_MAX = 256
INTERIM_ANSWERS_MAX = 16
"""1xx answers before the final one; a hint or two is normal, a flood is an attack on the client."""
CHUNK_LINE_BYTES_MAX = 256
"""Size and extensions of one chunk. Extensions are dropped, so a long one only costs us."""
TRAILER_BYTES_MAX = 8 * 1024
PIPELINE_BYTES_MAX = 64 * 1024
"""Bytes of later requests that are kept while one is being answered; past it we stop reading."""
POOL_IDLE_MAX = 512
"""Idle connections kept for one instance. Fewer than a busy app has requests in flight would mean connecting anew for
half of them, which costs more than the request."""
POOL_IDLE_SECONDS_MAX = 4.0
"""Below the 5 s after which a node:http server closes an idle connection: we close first, and no request races it."""
DIALING_MAX = 64
"""Connections that are being opened to one instance at once; accept queues of 100 are common."""
CONNECT_SECONDS_MAX = 30.0
"""How long a full accept queue of an instance is tried again: as long as a start may take."""
CONNECT_RETRY_SECONDS = 0.005
LINGER_SECONDS_MAX = 3.0
"""After an early error we read and drop what the client still sends, or it would meet a reset before our answer."""
CLOSE_REPLY_SECONDS_MAX = 2.0
"""How long a WebSocket client may take to answer our close frame."""
CLAIMS_MAX = 3
"""Instances that one request asks, when those it was given turn out to be gone."""
LONG_LIVED_SECONDS = 1.0
"""An answer open longer than this does not hold a swap (design: promise 2)."""
SWEEP_SECONDS = 1.0
"""The pace of the one timer that serves every time-out of a listener."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may set."""

    header_bytes_max: int = 64 * 1024
    header_count_max: int = 128
    url_bytes_max: int = 16 * 1024
    header_seconds_max: float = 10.0
    idle_seconds_max: float = 75.0
    body_bytes_max: int = 100 * MIB
    """For services whose own `body_bytes_max` is None."""
    body_stall_seconds_max: float = 60.0
    """Between two pieces of a request body that we are ready to read."""
    write_stall_seconds_max: float = 120.0
    """For a client that takes nothing of a waiting answer."""
    answer_seconds_max: float = 120.0
    """From the sent request to the head of its answer."""
    connections_max: int = 16_384
    connections_per_client_max: int = 4_096
