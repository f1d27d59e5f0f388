"""Amounts as people write them: durations and sizes. No I/O."""

from __future__ import annotations

import re

from steadyd.errors import SteadyError

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)"
DURATION = re.compile(NUMBER + r"\s*([a-z]*)")
SIZE = re.compile(NUMBER + r"\s*(?:([kmgt])(?:i?b)?|b)?")


def duration(value: object) -> float:
    """`90`, `500ms`, `30s`, `15min`, `15m`, `2h`, `1d`, as seconds; `never` is 0.

    Raises:
        SteadyError: `invalid` for anything else.
    """
    text = _text(value).lower()
    match = DURATION.fullmatch("0" if text == "never" else text)
    if not match or match[2] not in SECONDS:
        raise SteadyError("invalid", f"“{text[:40]}” is not a duration; write 30s, 15min or 2h")
    return float(match[1]) * SECONDS[match[2]]


def size(value: object) -> int:
    """`1048576`, `512K`, `100MiB`, `100MB`, as bytes; the units are powers of 1024.

    Raises:
        SteadyError: `invalid` for anything else.
    """
    text = _text(value).lower()
    match = SIZE.fullmatch(text)
    if not match:
        raise SteadyError("invalid", f"“{text[:40]}” is not a size; write 512K, 100MiB or 1G")
    return int(float(match[1]) * BYTES[match[2] or ""])


def written_size(count: int) -> str:
    """Bytes as `size` reads them, in the largest unit that keeps them whole: `256MiB`."""
    for unit in ("t", "g", "m", "k"):
        if count and count % BYTES[unit] == 0:
            return f"{count // BYTES[unit]}{unit.upper()}iB"
    return str(count)


def written_duration(seconds: float) -> str:
    """Seconds as `duration` reads them: `15min`; 0 is `never`."""
    seconds = float(seconds)
    if seconds == 0:
        return "never"
    for unit in ("d", "h", "min"):
        if seconds % SECONDS[unit] == 0:
            return f"{int(seconds // SECONDS[unit])}{unit}"
    return f"{int(seconds)}s" if seconds.is_integer() else f"{seconds:.3f}s"


# Private


def _text(value: object) -> str:
    """A number or a text as text; a JSON number such as 1e3 is written out."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        value = int(value)
    return str(value).strip()
