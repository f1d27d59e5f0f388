"""Bodies within their limits, and JSON that says one thing only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from steadyd.errors import SteadyError
from steadyd.web.body import JSON_BYTES_MAX, PLACE_CHARACTERS_MAX, Allowance, Holding, convert, decode, pieces, whole
from steadyd.web.schema import CreateBody, ListQuery, StopBody, TailQuery, UploadQuery


def ask(limit: int, allowance: Allowance, content: bytes | AsyncIterator[bytes], **headers: str) -> str:
    """The code of the refusal, or how much was read."""

    async def read(request: Request) -> Response:
        try:
            return PlainTextResponse(str(len(await whole(request, limit, allowance))))
        except SteadyError as error:
            return PlainTextResponse(error.code)

    async def body() -> str:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", read, methods=["POST"])]))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return (await client.post("/", content=content, headers=headers)).text

    return asyncio.run(body())


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(100)


def test_a_body_is_read_up_to_its_limit() -> None:
    allowance = Allowance(1_000)
    assert ask(500, allowance, bytes(500)) == "500"
    assert ask(500, allowance, bytes(501)) == "too_large"
    assert ask(500, allowance, chunks(5)) == "500"
    assert ask(500, allowance, chunks(6)) == "too_large"
    assert ask(500, allowance, b"", **{"content-length": "9" * 40}) == "too_large"
    assert allowance.taken == 0


def test_all_bodies_together_are_bounded() -> None:
    allowance = Allowance(1_000)
    allowance.take(900)
    assert ask(500, allowance, bytes(101)) == "overloaded"
    assert allowance.taken == 900
    assert ask(500, allowance, bytes(100)) == "100"


def test_one_calls_part_of_the_allowance_comes_back_at_its_end() -> None:
    allowance = Allowance(100)
    with Holding(allowance) as holding:
        holding.take(60)
        holding.take(30)
        with pytest.raises(SteadyError, match="at once"):
            holding.take(11)
        assert allowance.taken == 90
    assert allowance.taken == 0


def test_the_allowance_comes_back_after_a_failure() -> None:
    allowance = Allowance(1_000)

    async def receive() -> Any:
        return {"type": "http.request", "body": bytes(700), "more_body": True}

    async def fail() -> None:
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
        async with pieces(request, 900, allowance) as read:
            async for _ in read:
                assert allowance.taken == 700
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert allowance.taken == 0


def test_a_client_that_leaves_in_the_middle_is_a_bad_request() -> None:
    async def body() -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
        with pytest.raises(SteadyError) as caught:
            await whole(request, 10, Allowance())
        assert caught.value.code == "bad_request"

    asyncio.run(body())


def test_json_is_strict() -> None:
    assert decode(b"", StopBody).hold is False
    assert decode(b' {"hold": true}\n', StopBody).hold is True
    for content, code in {
        b'{"hold": true, "hold": false}': "invalid", b'{"hold": 1}': "invalid", b'{"hold": null}': "invalid",
        b"[]": "invalid", b'"x"': "invalid", b"{": "bad_request", b"{}x": "bad_request", b"\xff": "bad_request",
        b"{'hold': true}": "bad_request", b'{"hold": tru}': "bad_request",
    }.items():  # fmt: skip
        with pytest.raises(SteadyError) as caught:
            decode(content, StopBody)
        assert caught.value.code == code, content


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b'{"bogus": 1}', "bogus"),
        (b'{"files": {"index.ts": "", "lib/a b.ts": 1}}', "files[lib/a b.ts]"),
        (b'{"files": {"a": {"base64": 1}}}', "files[a].base64"),
        (b'{"files": {"a": {"base64": "", "more": 1}}}', "files[a].more"),
        (b'{"env": {"KEY": 1}}', "env[KEY]"),
        (b'{"files": []}', "files"),
        (b'{"files": {"a": 1}, "files": 2}', "files[...]"),
        (b'{"files": {"a": 1}, ', "files[...]"),
        (b'{"files": {"a": 1, "b": ' + b"[" * 20_000, "files[...]"),
        (b"[]", None),
    ],
)
def test_what_does_not_fit_is_named(content: bytes, field: str | None) -> None:
    with pytest.raises(SteadyError) as caught:
        decode(content, CreateBody)
    assert (caught.value.code, caught.value.details.get("field")) == ("invalid", field)
    assert field is None or all(part in caught.value.message for part in field.split(".more"))


def test_a_long_name_is_cut_in_the_answer() -> None:
    for content in (b'{"%s": 1}', b'{"files": {"%s": 1}}'):
        with pytest.raises(SteadyError) as caught:
            decode(content % (b"n" * 5_000), CreateBody)
        assert len(caught.value.details["field"]) == PLACE_CHARACTERS_MAX


@given(st.binary(max_size=200))
def test_noise_is_refused_in_our_words(noise: bytes) -> None:
    try:
        decode(noise, CreateBody)
    except SteadyError as error:
        refused = error.status
    else:
        refused = 400
    assert refused in (400, 422)


def test_the_largest_json_is_read_in_a_moment() -> None:
    """It holds the interpreter, so it must be short: JSON_BYTES_MAX is chosen by this."""
    content = msgspec.json.encode({"files": {f"f{n}": "const x = 1;\n" * 7_000 for n in range(340)}})
    assert JSON_BYTES_MAX * 0.9 < len(content) < JSON_BYTES_MAX
    began = time.perf_counter()
    decode(content, CreateBody)
    assert time.perf_counter() - began < 1.0


def test_a_query_fits_its_type() -> None:
    assert convert({"deleted": "1"}, ListQuery, strict_names=True).deleted is True
    assert convert({"tail": "7", "follow": "true"}, TailQuery, strict_names=True) == TailQuery(tail=7, follow=True)
    assert convert({"x": "1"}, ListQuery, strict_names=False).deleted is False
    with pytest.raises(SteadyError, match="x"):
        convert({"x": "1"}, ListQuery, strict_names=True)
    with pytest.raises(SteadyError, match="base_version"):
        convert({"base_version": "0"}, UploadQuery, strict_names=True)
