from __future__ import annotations

import asyncio

import pytest

from steadyd.records.people import LOGIN_LINK_SECONDS_MAX, SESSION_SECONDS_MAX, People
from steadyd.store import Database

NOW = 1_000_000.0


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def test_there_is_one_operator(people: People) -> None:
    async def body() -> None:
        first = await people.operator(NOW)
        assert await people.operator(NOW + 1) == first
        assert first.is_operator

    asyncio.run(body())


def test_guests_are_different_people_with_nicknames(people: People) -> None:
    async def body() -> None:
        one, two = await people.add_guest(NOW), await people.add_guest(NOW)
        assert one.id != two.id
        assert not one.is_operator
        assert one.name.istitle()

    asyncio.run(body())


def test_a_token_says_who(people: People) -> None:
    async def body() -> None:
        guest = await people.add_guest(NOW)
        token = await people.add_token(guest, "curl", NOW)
        assert await people.by_token(token) == guest
        assert await people.by_token(token + "x") is None
        assert await people.by_token("\udcff") is None

    asyncio.run(body())


def test_a_session_says_who_until_it_ends(people: People) -> None:
    async def body() -> None:
        guest = await people.add_guest(NOW)
        secret, other = await people.add_session(guest, NOW), await people.add_session(guest, NOW)
        assert await people.by_session(secret, NOW) == guest
        assert await people.by_session(secret, NOW + SESSION_SECONDS_MAX) == guest
        assert await people.by_session(secret, NOW + SESSION_SECONDS_MAX + 1) is None
        await people.end_session(secret)
        assert await people.by_session(secret, NOW) is None
        assert await people.by_session(other, NOW) == guest

    asyncio.run(body())


def test_a_login_link_works_once_and_not_for_ever(people: People) -> None:
    async def body() -> None:
        operator = await people.operator(NOW)
        link, late = await people.add_login_link(operator, NOW), await people.add_login_link(operator, NOW)
        assert await people.take_login_link(link, NOW) == operator
        assert await people.take_login_link(link, NOW) is None
        assert await people.take_login_link(late, NOW + LOGIN_LINK_SECONDS_MAX + 1) is None
        assert await people.take_login_link("never made", NOW) is None

    asyncio.run(body())


def test_no_secret_is_stored(people: People, database: Database) -> None:
    async def body() -> list[str]:
        guest = await people.add_guest(NOW)
        return [
            await people.add_token(guest, "curl", NOW),
            await people.add_session(guest, NOW),
            await people.add_login_link(guest, NOW),
        ]

    secrets = asyncio.run(body())
    files = b"".join(path.read_bytes() for path in database.path.parent.iterdir())
    assert [secret for secret in secrets if secret.encode() in files] == []
