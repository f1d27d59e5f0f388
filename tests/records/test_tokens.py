"""Tokens: whose, for what, until when, and when they were used."""

from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Principal, Scope
from steadyd.records.library import Library, open_library
from steadyd.records.tokens import TOKENS_PER_PERSON_MAX, USED_SECONDS, Grant, Wish
from steadyd.store import Database

NOW = 1_000_000.0


@pytest.fixture
def library(database: Database) -> Library:
    return open_library(database)


def test_a_token_says_who_and_what(library: Library) -> None:
    async def body() -> None:
        guest = await library.people.add_guest(NOW)
        plain = await library.people.add_token(guest, "curl", NOW)
        assert await library.tokens.find(plain, NOW) == Grant(guest, Scope.ALL)
        for wrong in (plain + "x", "", "\udcff"):
            assert await library.tokens.find(wrong, NOW) is None
        app = await library.apps.create("hello", guest, False, NOW)
        secret, token = await library.tokens.add(guest, Wish("ci", Scope.DEPLOY, app.id, NOW + 10), NOW + 1)
        assert (token.label, token.scope, token.app_name, token.expires_at) == ("ci", Scope.DEPLOY, "hello", NOW + 10)
        grant = await library.tokens.find(secret, NOW + 1)
        assert grant == Grant(guest, Scope.DEPLOY, app.id)
        assert grant.is_limited
        assert await library.tokens.find(secret, NOW + 10) is None
        assert [token.label for token in await library.tokens.of(guest.id)] == ["ci", "curl"]

    asyncio.run(body())


def test_revoked_at_once_and_by_its_owner_only(library: Library) -> None:
    async def body() -> None:
        ada, bob = await library.people.add_guest(NOW), await library.people.add_guest(NOW)
        secret, token = await library.tokens.add(ada, Wish("ci"), NOW)
        for owner, which in ((bob, token.id), (ada, "nonsense"), (ada, "")):
            with pytest.raises(SteadyError) as caught:
                await library.tokens.revoke(owner.id, which)
            assert caught.value.code == "not_found"
        assert await library.tokens.find(secret, NOW) is not None
        await library.tokens.revoke(ada.id, token.id)
        assert await library.tokens.find(secret, NOW) is None
        assert await library.tokens.of(ada.id) == []

    asyncio.run(body())


def test_a_token_dies_with_its_app(library: Library) -> None:
    async def body() -> None:
        guest = await library.people.add_guest(NOW)
        app = await library.apps.create("hello", guest, False, NOW)
        secret, _ = await library.tokens.add(guest, Wish("ci", Scope.ALL, app.id), NOW)
        await library.apps.remove(app.id, NOW)
        assert await library.tokens.find(secret, NOW) is None

    asyncio.run(body())


def test_its_use_is_written_at_most_once_a_minute(library: Library) -> None:
    async def body() -> None:
        guest = await library.people.add_guest(NOW)
        secret, token = await library.tokens.add(guest, Wish("ci"), NOW)
        assert token.last_used_at is None

        async def used(now: float) -> float | None:
            await library.tokens.find(secret, now)
            return (await library.tokens.of(guest.id))[0].last_used_at

        assert await used(NOW) == NOW
        assert await used(NOW + USED_SECONDS - 1) == NOW
        assert await used(NOW + USED_SECONDS) == NOW + USED_SECONDS

    asyncio.run(body())


def test_a_person_has_so_many(library: Library) -> None:
    async def body() -> None:
        guest = await library.people.add_guest(NOW)

        async def labels(of: Principal) -> list[str]:
            return [token.label for token in await library.tokens.of(of.id)]

        await library.tokens.add(guest, Wish("over", expires_at=NOW + 1), NOW)
        for number in range(TOKENS_PER_PERSON_MAX - 1):
            await library.tokens.add(guest, Wish(str(number)), NOW + number / 1000)
        with pytest.raises(SteadyError) as caught:
            await library.tokens.add(guest, Wish("one too many"), NOW)
        assert caught.value.code == "conflict"
        await library.tokens.add(guest, Wish("in its place"), NOW + 2)  # what expired does not count
        app = await library.apps.create("hello", guest, False, NOW)
        for number in range(TOKENS_PER_PERSON_MAX + 1):  # nobody asked for these: the oldest of them makes room
            await library.people.add_token(guest, f"curl {number}", NOW + number, app.id)
        found = await labels(guest)
        assert len(found) == 2 * TOKENS_PER_PERSON_MAX
        assert {"0", "in its place", "curl 1"} <= set(found)
        assert "curl 0" not in found

    asyncio.run(body())
