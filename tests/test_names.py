from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.names import NAME_BYTES_MAX, answer, refuse

DOOR = "198.19.255.80"


def query(name: str, kind: int = 1, flags: int = 0x0100, questions: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack("!6H", 0x1234, flags, questions, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def read(packet: bytes) -> tuple[int, int, bytes]:
    """Response code, count of answers, and what follows the head."""
    number, flags, questions, answers, authority, additional = struct.unpack("!6H", packet[:12])
    assert (number, flags & 0x8000, authority, additional) == (0x1234, 0x8000, 0, 0)
    assert questions in (0, 1)
    return flags & 15, answers, packet[12:]


@pytest.mark.parametrize("name", ["hello.internal", "HELLO.Internal", "a.b.internal"])
def test_every_name_under_internal_is_the_door(name: str) -> None:
    code, answers, rest = read(answer(query(name), DOOR))
    assert (code, answers) == (0, 1)
    assert rest.endswith(socket.inet_aton(DOOR))
    assert rest.startswith(query(name)[12:]), "the question is repeated as it was written"


def test_it_has_no_ipv6_address() -> None:
    code, answers, rest = read(answer(query("hello.internal", kind=28), DOOR))
    assert (code, answers, rest) == (0, 0, query("hello.internal", kind=28)[12:])


@pytest.mark.parametrize("name", ["example.com", "internal", "hello.internal.com", "xinternal", "localhost"])
def test_no_other_name_exists(name: str) -> None:
    assert read(answer(query(name), DOOR))[:2] == (3, 0)


@pytest.mark.parametrize(("flags", "questions"), [(0x0900, 1), (0x0100, 0), (0x0100, 2)])
def test_what_is_not_one_question_is_not_implemented(flags: int, questions: int) -> None:
    assert read(answer(query("hello.internal", flags=flags, questions=questions), DOOR))[:2] == (4, 0)


def test_what_is_no_query_gets_no_answer() -> None:
    whole = query("hello.internal")
    assert answer(answer(whole, DOOR), DOOR) == b"", "two resolvers never talk to each other for ever"
    assert all(answer(whole[:length], DOOR) == b"" for length in range(len(whole)))
    assert answer(query("")[:12] + b"\xc0\x0c\0\1\0\1", DOOR) == b"", "a pointer in a question"


def test_a_name_is_so_long_at_most() -> None:
    long = ".".join(["a" * 63] * 3) + "."
    fits = long + "a" * (NAME_BYTES_MAX - 192 - 2 - 9 - 1) + ".internal"
    assert read(answer(query(fits), DOOR))[:2] == (0, 1)
    assert answer(query(long + long + "internal"), DOOR) == b""


def test_a_name_is_refused_and_told() -> None:
    name, said = refuse(query("API.example.com", kind=28))
    assert (name, read(said)[:2]) == ("api.example.com", (5, 0))
    assert refuse(said) == refuse(b"") == ("", b"")


@given(st.binary(max_size=600))
def test_no_packet_is_too_odd(packet: bytes) -> None:
    assert len(refuse(packet)[1]) <= len(packet)
    said = answer(packet, DOOR)
    assert len(said) <= len(packet) + 16
    assert not said or said[:2] == packet[:2]
