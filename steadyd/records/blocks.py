"""Networks from which nobody makes an app or an account, because the operator said so."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.store import Connection, Database, one

BLOCKS_MAX = 1_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Block:
    """`network` as CIDR; a single address is a network of its own. `reason` is what who is blocked reads."""

    id: int
    network: str
    reason: str
    at: float


class Blocks:
    """The table `blocks`. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, network: Network, reason: str, now: float) -> Block:
        """Block a network, or change the reason why it is.

        Raises:
            SteadyError: `conflict` above BLOCKS_MAX.
        """
        text = str(network)

        def write(db: Connection) -> Block:
            row = one(db, "SELECT count(*) FROM blocks WHERE network != ?", (text,))
            if row is not None and int(row[0]) >= BLOCKS_MAX:
                raise SteadyError("conflict", f"At most {BLOCKS_MAX:,} networks are blocked. End a block first.")
            sql = (
                "INSERT INTO blocks (network, reason, at) VALUES (?, ?, ?) "
                "ON CONFLICT (network) DO UPDATE SET reason = excluded.reason RETURNING id, network, reason, at"
            )
            row = one(db, sql, (text, reason, now))
            assert row is not None
            return Block(*row)

        return await self._database.write(write)

    async def everything(self) -> list[Block]:
        """All, the newest first."""
        sql = "SELECT id, network, reason, at FROM blocks ORDER BY id DESC"
        return await self._database.read(lambda db: [Block(*row) for row in db.execute(sql)])

    async def remove(self, block_id: int) -> None:
        """Who comes from there may again.

        Raises:
            SteadyError: `not_found`.
        """

        def write(db: Connection) -> None:
            db.execute("DELETE FROM blocks WHERE id = ?", (block_id,))
            if not db.changes():
                raise SteadyError("not_found", "There is no such block. GET /api/host/blocks lists them.")

        await self._database.write(write)

    async def check(self, address: str) -> None:
        """Whether who comes from `address` may make something.

        Raises:
            SteadyError: `forbidden`, with the operator's reason.
        """
        client = _address(address)
        if client is None:
            return
        for block in await self.everything():
            network = ipaddress.ip_network(block.network)
            if client.version == network.version and client in network:
                raise SteadyError("forbidden", f"Nobody makes anything here from your address: {block.reason}")


def read_network(text: str) -> Network:
    """An address, or a network as CIDR.

    Raises:
        SteadyError: `invalid` for what is neither, for this machine, and for everybody.
    """
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        said = f"“{text[:60]}” is no address. Write 203.0.113.9, or a network such as 203.0.113.0/24."
        raise SteadyError("invalid", said, {"field": "network"}) from None
    if network.is_loopback or network.prefixlen == 0:
        said = "This machine cannot be blocked, nor everybody: --guests off and --signup closed do that."
        raise SteadyError("invalid", said, {"field": "network"})
    return network


# Private


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed
