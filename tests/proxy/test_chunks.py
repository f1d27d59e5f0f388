"""Chunked bodies: strict in, and the same however they are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.proxy.chunks import BadChunk, ChunkReader, last_chunk, one_chunk
from steadyd.proxy.limits import CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX

HOSTILE = [
    b"\r\n",
    b"x\r\n",
    b"0x5\r\nhello\r\n",
    b"5_0\r\n",
    b"-5\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"5\nhello\r\n",
    b"5\r\nhelloX\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5;a=\x00\r\nhello\r\n",
    b"5;a\nb\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"0000000000000000000005\r\nhello\r\n",
    b"5;" + b"a" * CHUNK_LINE_BYTES_MAX + b"\r\nhello\r\n",
    b"5;" + b"a" * CHUNK_LINE_BYTES_MAX,
    b"0\r\nA : b\r\n\r\n",
    b"0\r\n A: b\r\n\r\n",
    b"0\r\nA: b\nC: d\r\n\r\n",
    b"0\r\nA: " + b"b" * TRAILER_BYTES_MAX,
]


def read_all(parts: list[bytes]) -> tuple[bytes, bool, bytes, bytes]:
    reader = ChunkReader()
    body = b""
    rest = b""
    for part in parts:
        if reader.done:
            rest += part
        else:
            body += reader.feed(part)
    return body, reader.done, reader.trailers, reader.rest + rest


@pytest.mark.parametrize("data", HOSTILE)
def test_a_lenient_readers_chunks_are_refused_whole_and_byte_by_byte(data: bytes) -> None:
    for parts in ([data], [data[i : i + 1] for i in range(len(data))]):
        with pytest.raises(BadChunk):
            read_all(parts)


def test_extensions_are_dropped_trailers_kept_and_the_rest_handed_back() -> None:
    data = b'5;a="b c"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\nGET /'
    assert read_all([data]) == (b"hello0123456789", True, b"X-Sum: 1\r\n", b"GET /")


def test_a_piece_inside_a_chunk_is_not_copied() -> None:
    reader = ChunkReader()
    reader.feed(b"400\r\n")
    piece = b"x" * 1000
    assert reader.feed(piece) is piece


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b"X-A: b\r\n"]),
    st.binary(max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_the_split_does_not_matter(bodies: list[bytes], trailers: bytes, rest: bytes, cuts: list[int]) -> None:
    wire = b"".join(map(one_chunk, bodies)) + last_chunk(trailers) + rest
    whole = read_all([wire])
    assert whole == (b"".join(bodies), True, trailers, rest)
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    assert read_all([wire[a:b] for a, b in itertools.pairwise(places)]) == whole
    assert read_all([wire[i : i + 1] for i in range(len(wire))]) == whole


def test_an_empty_piece_is_never_the_last_chunk() -> None:
    assert one_chunk(b"") == b""
