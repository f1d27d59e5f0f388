"""Headers of requests and of their answers, with what is secret in them masked, beside the request log.

Nothing is written down before it is masked: values of headers whose names or values look like a secret, and what an
address has after its path. They are kept for the newest requests, and longer for those that failed or were slow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from steadyd.store import Connection, one

NEWEST_MAX = 5_000
"""Of an app's requests, those whose headers are kept."""
MARKED_MAX = 1_000
"""Of those that failed or were slow, however long ago."""
VALUE_CHARACTERS_MAX = 1_000
SLOW_US = 1_000_000

Fields = list[tuple[str, str]]
"""Names and values, in their order."""

_SECRET_NAME = re.compile(
    r"auth|token|secret|session|credential|passw|signature|csrf|xsrf|api-?key|access-?key|private|otp\b|-key\Z|\bkey\Z"
)
_SECRET_VALUE = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]+|\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs])[-_]\w{8,}|\bAKIA\w{12,}"
    r"|\b(?:bearer|basic|digest)\s+\S+|-----BEGIN|://[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
_ADDRESSES = frozenset({"referer", "location", "content-location", "refresh", "link"})
_PUBLIC = frozenset({"sec-websocket-key", "access-control-allow-credentials", "idempotency-key"})
"""Names that only look secret."""
_QUERY = re.compile(r"[?#][^\s>;,\"]+")
_PAIR = re.compile(r"([^=;]+)=([^;]*)")


@dataclass(frozen=True, slots=True)
class Heads:
    """Header lines, masked, each `Name: value`."""

    asked: str
    answered: str
    marked: bool = False


def masked(block: bytes) -> str:
    """Header lines as they may be kept. Of a block that was cut, the last line is left out."""
    lines = [line for line in block.decode("latin-1").split("\r\n") if ":" in line]
    lost = not block.endswith(b"\r\n")
    kept = [_masked(*line.split(":", 1)) for line in (lines[:-1] if lost else lines)]
    return "\n".join([*kept, "…: cut off here"] if block and lost else kept)


def fields(text: str) -> Fields:
    """What was kept, as names and values."""
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in text.split("\n")) if name]


def store(db: Connection, heads: Mapping[int, Heads], newest: int, trim: bool) -> None:
    """Keep them, by the requests' ids; `newest` is the newest request's. With `trim` those beyond the limits go."""
    sql = "INSERT OR REPLACE INTO heads (request, marked, asked, answered) VALUES (?, ?, ?, ?)"
    db.executemany(sql, [(number, head.marked, head.asked, head.answered) for number, head in heads.items()])
    if not trim:
        return
    db.execute("DELETE FROM heads WHERE request <= ? AND NOT marked", (newest - NEWEST_MAX,))
    last = one(db, "SELECT request FROM heads WHERE marked ORDER BY request DESC LIMIT 1 OFFSET ?", (MARKED_MAX,))
    if last is not None:
        db.execute("DELETE FROM heads WHERE request <= ? AND request <= ?", (last[0], newest - NEWEST_MAX))


def find(db: Connection, request: int) -> Heads | None:
    row = one(db, "SELECT asked, answered, marked FROM heads WHERE request = ?", (request,))
    return Heads(str(row[0]), str(row[1]), bool(row[2])) if row else None


# Private


def _masked(name: str, value: str) -> str:
    lower, value = name.lower(), value.strip()
    if lower == "cookie":
        value = "; ".join(f"{pair[1].strip()}={_hidden(pair[2])}" for pair in _PAIR.finditer(value)) or _hidden(value)
    elif lower == "set-cookie":
        cookie, semicolon, rest = value.partition(";")
        value = f"{cookie.partition('=')[0]}={_hidden(cookie.partition('=')[2])}{semicolon}{rest}"
    elif lower in ("authorization", "proxy-authorization"):
        scheme, _, secret = value.partition(" ")
        value = f"{scheme} {_hidden(secret)}" if secret and scheme.isalpha() else _hidden(value)
    elif lower not in _PUBLIC and _SECRET_NAME.search(lower):
        value = _hidden(value)
    else:
        value = _SECRET_VALUE.sub(lambda found: _hidden(found[0]), value)
        if lower in _ADDRESSES:
            value = _QUERY.sub(lambda found: found[0][0] + _hidden(found[0][1:]), value)
    if len(value) > VALUE_CHARACTERS_MAX:
        value = f"{value[:VALUE_CHARACTERS_MAX]}… ({len(value)} characters)"
    return f"{name}: {value}"


def _hidden(value: str) -> str:
    return f"•••({len(value)})" if value else ""
