"""Answers in HTTP/1.1 framing: the same body for every kind of client."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from steadyd.proxy.answer import read_answer
from steadyd.proxy.writer import JOINED_BYTES_MAX, AnswerWriter

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
OPEN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def writer(**state: Any) -> tuple[AnswerWriter, list[bytes]]:
    made, sink = AnswerWriter(), Sink()
    made._transport = cast(asyncio.Transport, sink)
    for name, value in state.items():
        setattr(made, name, value)
    return made, sink.writes


def test_a_small_answer_is_one_write_and_a_large_one_is_not_copied() -> None:
    made, writes = writer()
    made.write_start(read_answer(LENGTH % 2), b"ok", True, b"")
    assert writes == [LENGTH % 2 + b"ok"]
    made, writes = writer()
    big = b"x" * (JOINED_BYTES_MAX + 1)
    made.write_start(read_answer(LENGTH % len(big)), big, True, b"")
    assert writes[1] is big
    made, writes = writer()
    made.write_start(read_answer(OPEN), big, True, b"")
    assert writes[1] is big
    assert b"".join(writes) == OPEN + b"%x\r\n%b\r\n0\r\n\r\n" % (len(big), big)


@pytest.mark.parametrize(
    ("state", "head", "expected", "can_end"),
    [
        ({}, OPEN, OPEN + b"2\r\nok\r\n0\r\nA: b\r\n\r\n", True),
        ({"_close": True}, OPEN, OPEN[:-2] + b"Connection: close\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", True),
        ({"_minor": b"0"}, OPEN, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", True),
        ({"_minor": b"0"}, LENGTH % 2, (LENGTH % 2)[:-2] + b"Connection: keep-alive\r\n\r\nok", False),
        ({"_no_body": True}, LENGTH % 2, LENGTH % 2, False),
        ({"_no_body": True}, OPEN, b"HTTP/1.1 200 OK\r\n\r\n", True),
        ({"_no_body": True, "_minor": b"0"}, OPEN, b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
        ({}, b"HTTP/1.1 204 N\r\n\r\n", b"HTTP/1.1 204 N\r\n\r\n", False),
    ],
)
def test_every_kind_of_client(state: dict[str, Any], head: bytes, expected: bytes, can_end: bool) -> None:
    made, writes = writer(**state)
    made.write_start(read_answer(head), b"ok", True, b"A: b\r\n")
    assert b"".join(writes) == expected
    assert made.can_end == can_end


def test_an_empty_piece_does_not_end_a_chunked_answer() -> None:
    made, writes = writer()
    made.write_start(read_answer(OPEN), b"", False, b"")
    made.more(b"ab", False)
    made.more(b"", True)
    assert b"".join(writes) == OPEN + b"2\r\nab\r\n0\r\n\r\n"
