"""A link works once, for its purpose, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from steadyd.records import links
from steadyd.records.links import INVITATION_SECONDS_MAX, LOGIN_LINK_SECONDS_MAX, RESET_SECONDS_MAX, Purpose
from steadyd.records.people import People
from steadyd.store import Database

NOW = 1_000_000.0
LONGEST = {
    Purpose.LOGIN: LOGIN_LINK_SECONDS_MAX,
    Purpose.INVITATION: INVITATION_SECONDS_MAX,
    Purpose.RESET: RESET_SECONDS_MAX,
}


@pytest.mark.parametrize("purpose", list(Purpose))
def test_once_for_its_purpose_and_for_so_long(database: Database, purpose: Purpose) -> None:
    async def body() -> None:
        somebody = await People(database).operator(NOW)
        end = NOW + LONGEST[purpose]

        async def take(secret: str, what: Purpose, now: float) -> str | None:
            return await database.write(lambda db: links.take(db, secret, what, now))

        secret, expires_at = await database.write(lambda db: links.insert(db, somebody.id, purpose, NOW))
        assert expires_at == end
        for other in set(Purpose) - {purpose}:
            assert await take(secret, other, NOW) is None
        assert await take(secret, purpose, end + 1) is None
        assert await take(secret, purpose, end) == somebody.id
        assert await take(secret, purpose, end) is None

    asyncio.run(body())


def test_only_the_last_reset_counts_and_old_links_go(database: Database) -> None:
    async def body() -> None:
        somebody = await People(database).operator(NOW)

        async def add(purpose: Purpose, now: float) -> str:
            return (await database.write(lambda db: links.insert(db, somebody.id, purpose, now)))[0]

        first, second = await add(Purpose.RESET, NOW), await add(Purpose.RESET, NOW)
        assert await database.write(lambda db: links.take(db, first, Purpose.RESET, NOW)) is None
        assert await database.write(lambda db: links.take(db, second, Purpose.RESET, NOW)) == somebody.id
        for _ in range(3):
            await add(Purpose.INVITATION, NOW)
        await add(Purpose.LOGIN, NOW + INVITATION_SECONDS_MAX + 1)
        rows = await database.read(lambda db: db.execute("SELECT count(*) FROM login_links").fetchall())
        assert rows == [(1,)]

    asyncio.run(body())
