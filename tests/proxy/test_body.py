"""Request bodies, by length and by chunks, however they are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.proxy.body import RequestBody
from steadyd.proxy.chunks import last_chunk, one_chunk
from steadyd.proxy.fields import CHUNKED


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=10), st.integers(1, 20), st.booleans())
def test_the_split_does_not_matter(content: bytes, rest: bytes, step: int, chunked: bool) -> None:
    wire = (one_chunk(content) + last_chunk(b"A: b\r\n") if chunked else content) + rest
    body = RequestBody(CHUNKED if chunked else len(content))
    got = after = b""
    for at in range(0, len(wire), step):
        if body.ended:
            after += wire[at : at + step]
        else:
            got += body.feed(wire[at : at + step])
    assert (got, body.ended, body.rest + after) == (content, True, rest)
    assert body.trailers == (b"A: b\r\n" if chunked else b"")


def test_bad_chunks_are_400() -> None:
    with pytest.raises(SteadyError) as caught:
        RequestBody(CHUNKED).feed(b"xyz\r\n")
    assert caught.value.code == "bad_request"
