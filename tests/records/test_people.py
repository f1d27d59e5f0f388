from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.records.links import LOGIN_LINK_SECONDS_MAX
from steadyd.records.people import (
    ADDRESS_CHARACTERS_MAX,
    AGENT_CHARACTERS_MAX,
    SESSION_SECONDS_MAX,
    SESSIONS_PER_PERSON_MAX,
    People,
)
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


def test_sessions_are_listed_and_ended_from_afar(people: People) -> None:
    async def body() -> None:
        guest, other = await people.add_guest(NOW), await people.add_guest(NOW)
        first = await people.add_session(guest, NOW, "Firefox" * 100)
        second = await people.add_session(guest, NOW + 1, "Safari")
        await people.by_session(second, NOW + 2)
        await people.by_session(second, NOW + 3)
        found = await people.sessions(guest.id, NOW + 2)
        assert [(session.agent[:7], session.last_used_at) for session in found] == [
            ("Safari", NOW + 2),
            ("Firefox", None),
        ]
        assert len(found[1].agent) == AGENT_CHARACTERS_MAX
        assert [session.is_of(second) for session in found] == [True, False]
        assert await people.sessions(guest.id, NOW + SESSION_SECONDS_MAX + 2) == []
        with pytest.raises(SteadyError):
            await people.revoke_session(other.id, found[1].id)
        await people.revoke_session(guest.id, found[1].id)
        assert await people.by_session(first, NOW) is None
        assert await people.by_session(second, NOW) == guest

    asyncio.run(body())


def test_a_person_has_so_many_sessions(people: People) -> None:
    async def body() -> None:
        guest = await people.add_guest(NOW)
        secrets = [await people.add_session(guest, NOW + number) for number in range(SESSIONS_PER_PERSON_MAX + 1)]
        assert await people.by_session(secrets[0], NOW) is None
        assert await people.by_session(secrets[1], NOW) == guest
        assert len(await people.sessions(guest.id, NOW)) == SESSIONS_PER_PERSON_MAX

    asyncio.run(body())


def test_where_a_session_came_from_is_kept(people: People) -> None:
    async def body() -> None:
        guest = await people.add_guest(NOW)
        secret = await people.add_session(guest, NOW, "Firefox", "x" * (ADDRESS_CHARACTERS_MAX + 1))
        await people.add_session(guest, NOW + 1)
        assert [session.address for session in await people.sessions(guest.id, NOW)] == ["", "x" * 45]
        assert await people.end_other_sessions(guest.id, secret) == 1
        assert [session.is_of(secret) for session in await people.sessions(guest.id, NOW)] == [True]

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
