"""The answer to an app on a private network that asks for a name (RFC 1035). No I/O.

Every name under `.internal` is its owner's other apps' door, whether there is such an app or not: the door answers 404
in words that a person can read, which a resolver cannot. No other name exists there.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from steadyd.reach import INTERNAL

NAME_BYTES_MAX = 255
"""Of a name in a message, by the RFC (2.3.4)."""
HEAD_BYTES = 12
ANSWERED, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 0, 3, 4, 5
ADDRESS = b"\0\1"
INTERNET = b"\0\1"


def answer(packet: bytes, address: str) -> bytes:
    """The answer to one query, `address` being the door's; b"" for what is no query and gets none."""
    if len(packet) < HEAD_BYTES or packet[2] & 0x80:
        return b""
    if packet[2] & 0x78 or packet[4:6] != b"\0\1":
        return _head(packet, NOT_IMPLEMENTED, 0, 0)
    name, end = _name(packet)
    question = packet[HEAD_BYTES : end + 4]
    if not name or len(packet) < end + 4:
        return b""
    if not name.endswith(f".{INTERNAL}"):
        return _head(packet, NO_SUCH_NAME, 1, 0) + question
    if question[-4:] != ADDRESS + INTERNET:  # of IPv6 there is nothing
        return _head(packet, ANSWERED, 1, 0) + question
    # A pointer to the question's name; it may be known for no time: an app that moves takes its door along.
    record = b"\xc0\x0c" + ADDRESS + INTERNET + b"\0\0\0\0" + b"\0\4" + IPv4Address(address).packed
    return _head(packet, ANSWERED, 1, 1) + question + record


def refuse(packet: bytes) -> tuple[str, bytes]:
    """The name that a query asks for and the answer that it is refused; "" and b"" for what is no query."""
    if len(packet) < HEAD_BYTES or packet[2] & 0x80 or packet[4:6] != b"\0\1":
        return "", b""
    name, end = _name(packet)
    if not name or len(packet) < end + 4:
        return "", b""
    return name, _head(packet, REFUSED, 1, 0) + packet[HEAD_BYTES : end + 4]


# Private


def _head(packet: bytes, code: int, questions: int, answers: int) -> bytes:
    """The query's id; an answer with authority, recursion as it was desired, and available."""
    flags = bytes((0x84 | packet[2] & 1, 0x80 | code))
    return packet[:2] + flags + questions.to_bytes(2, "big") + answers.to_bytes(2, "big") + b"\0\0\0\0"


def _name(packet: bytes) -> tuple[str, int]:
    """The question's name in lower case and where it ends; "" if it is malformed. A question has no pointers."""
    labels: list[str] = []
    at = HEAD_BYTES
    while at < len(packet) and at - HEAD_BYTES < NAME_BYTES_MAX:
        length = packet[at]
        if length == 0:
            return ".".join(labels).lower(), at + 1
        if length > 63:
            break
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return "", at
