from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.records.blocks import BLOCKS_MAX, Blocks, read_network
from steadyd.store import Database


def test_a_network_is_blocked_until_it_is_not(database: Database) -> None:
    async def body() -> None:
        blocks = Blocks(database)
        made = await blocks.add(read_network("203.0.113.9/24"), "Spam.", 1.0)
        await blocks.add(read_network("2001:db8::/64"), "More spam.", 2.0)
        for address in ("203.0.113.77", "::ffff:203.0.113.77", "2001:db8::9", "[2001:db8::9]"):
            with pytest.raises(SteadyError, match="from your address") as refused:
                await blocks.check(address)
            assert (refused.value.code, "pam." in refused.value.message) == ("forbidden", True)
        for address in ("203.0.114.1", "2001:db9::1", "127.0.0.1", "", "no address"):
            await blocks.check(address)
        again = await blocks.add(read_network("203.0.113.0/24"), "Another reason.", 3.0)
        assert (again.id, again.reason, again.at) == (made.id, "Another reason.", 1.0)
        assert [block.network for block in await blocks.everything()] == ["2001:db8::/64", "203.0.113.0/24"]
        await blocks.remove(made.id)
        await blocks.check("203.0.113.77")
        with pytest.raises(SteadyError) as absent:
            await blocks.remove(made.id)
        assert absent.value.code == "not_found"

    asyncio.run(body())


def test_so_many_are_kept(database: Database) -> None:
    async def body() -> None:
        blocks = Blocks(database)
        await database.write(
            lambda db: db.executemany(
                "INSERT INTO blocks (network, reason, at) VALUES (?, '', 0)",
                [(f"10.{number // 250}.{number % 250}.1/32",) for number in range(BLOCKS_MAX)],
            )
        )
        with pytest.raises(SteadyError) as full:
            await blocks.add(read_network("203.0.113.9"), "", 1.0)
        assert full.value.code == "conflict"
        await blocks.add(read_network("10.0.0.1"), "known already", 1.0)

    asyncio.run(body())


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "127.0.0.1", "::1", "0.0.0.0/0", "::/0", "1.2.3.4/33", "<b>"])
def test_what_is_no_network_or_everybody_is_refused(text: str) -> None:
    with pytest.raises(SteadyError) as refused:
        read_network(text)
    assert refused.value.code == "invalid"
