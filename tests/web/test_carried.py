"""An app's archive as a request carries it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from starlette.requests import Request

from steadyd.errors import SteadyError
from steadyd.tree import DEFAULT_LIMITS
from steadyd.web.body import Allowance, Holding
from steadyd.web.carried import Carried, receive_app
from tests.test_appfile import GOOD, packed, said


def request(content: bytes) -> Request:
    class Sent:
        headers: dict[str, str] = {}  # noqa: RUF012

        async def stream(self) -> AsyncIterator[bytes]:
            for at in range(0, len(content), 100):
                yield content[at : at + 100]

    return cast("Request", Sent())


def received(content: io.BytesIO, allowance: Allowance) -> Carried:
    return asyncio.run(receive_app(request(content.getvalue()), 1 << 20, allowance, DEFAULT_LIMITS))


def test_it_is_proven_and_its_live_version_is_at_hand() -> None:
    allowance, file = Allowance(), packed(said(), GOOD)
    carried = received(file, allowance)
    assert carried.manifest.name == "hello"
    assert carried.tree == {"index.ts": GOOD[0][1]}
    assert carried.size == len(file.getvalue())
    assert allowance.taken == 0
    with Holding(allowance) as holding:
        holding.keep(carried.file)
    assert carried.file.closed


@pytest.mark.parametrize("bad", [packed(said(), GOOD[:1]), packed(said(live=3), GOOD), io.BytesIO(b"x" * 5_000)])
def test_a_bad_one_is_refused_whole(bad: Any) -> None:
    allowance = Allowance()
    with pytest.raises(SteadyError) as caught:
        received(bad, allowance)
    assert caught.value.code == "invalid_archive"
    assert allowance.taken == 0
