"""Cookies that a request to the control plane need not bring: those that are not ours. No I/O.

A page of an app may set cookies for the whole domain, a hundred of them, and the browser sends them to the control
plane with every request. There they say nothing to anybody, and must not make a head too long to be read.
"""

from __future__ import annotations

import re

OURS = (b"steady-", b"__Host-steady-")
"""How the names of the control plane's own cookies begin."""
HEAD_BYTES = 4 * 1024
"""A head up to this long is passed on as it is: it harms nobody, and needs no second look."""

_HOST = re.compile(rb"\r\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n]*?)[ \t]*\r\n")
_LINE = re.compile(rb"(?<=\r\n)cookie:([\t\x20-\x7e\x80-\xff]*)(\r\n|\r?\Z)", re.IGNORECASE)
"""A line with any other character stays as it is, for the head to be refused."""


def authority(head: bytes) -> bytes:
    """What the first Host header of a head says, or of a part of one; empty without any."""
    found = _HOST.search(head)
    return found[1] if found else b""


def only_ours(head: bytes) -> bytes:
    """A request's head, or the beginning of one, without the cookies that are not ours."""
    return _LINE.sub(_kept, head)


# Private


def _kept(line: re.Match[bytes]) -> bytes:
    cookies = line[1].split(b";")
    begun = [] if line[2] == b"\r\n" else [cookies.pop()]  # more of it may come
    kept = [cookie for cookie in cookies if cookie.strip(b" \t").startswith(OURS)]
    return b"Cookie:" + b";".join(kept + begun) + line[2] if kept or begun else b""
