"""API calls of the operator about networks from which nobody makes an app or an account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from steadyd.records import blocks
from steadyd.records.blocks import read_network
from steadyd.web import schema, shown
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint, json_of
from steadyd.web.rooms import Rooms
from steadyd.web.suspension import SuspendBody, reason_given

NETWORK_CHARACTERS_MAX = 60


class BlockBody(SuspendBody, kw_only=True):
    """An address, or a network such as `203.0.113.0/24`; who comes from there reads the reason."""

    network: Annotated[str, Meta(max_length=NETWORK_CHARACTERS_MAX)]


class Block(schema.Strict):
    id: int
    network: str
    reason: str
    at: datetime


class BlockAnswer(schema.Strict):
    block: Block


class BlocksAnswer(schema.Strict):
    blocks: list[Block]


async def list_blocks(call: Call) -> Response:
    found = await call.rooms.library.blocks.everything()
    return json_answer(BlocksAnswer(blocks=[_shown(block) for block in found]))


async def add_block(call: Call) -> Response:
    body = await call.body(BlockBody)
    return json_answer(BlockAnswer(block=_shown(await block(call.rooms, body.network, body.reason))), 201)


async def block(rooms: Rooms, network: str, reason: str) -> blocks.Block:
    """Let nobody make anything from there.

    Raises:
        SteadyError: `invalid`, `conflict`.
    """
    return await rooms.library.blocks.add(read_network(network), reason_given(reason), rooms.now())


async def remove_block(call: Call) -> Response:
    await call.rooms.library.blocks.remove(call.number("id")[0])
    return Response(status_code=204, headers=NO_STORE)


ALL = "/api/host/blocks"
ENDPOINTS = (
    Endpoint(
        method="GET", path=ALL, handler=list_blocks, access=Access.OPERATOR, answers=json_of(BlocksAnswer),
        summary="Networks from which nobody makes an app or an account, newest first.",
        errors=("unauthorized", "not_found"),
    ),
    Endpoint(
        method="POST", path=ALL, handler=add_block, access=Access.OPERATOR, status=201, body=BlockBody,
        answers=json_of(BlockAnswer), summary="Block an address or a network; what is there already goes on.",
        errors=tuple("bad_request unauthorized not_found invalid conflict unsupported_media_type too_large".split()),
    ),
    Endpoint(
        method="DELETE", path=f"{ALL}/{{id}}", handler=remove_block, access=Access.OPERATOR, status=204,
        answers={}, summary="End a block.", errors=("unauthorized", "not_found"),
    ),
)  # fmt: skip


# Private


def _shown(block: blocks.Block) -> Block:
    return Block(id=block.id, network=block.network, reason=shown.clean(block.reason), at=shown.moment(block.at))
