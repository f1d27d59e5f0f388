"""Users in the records: each change whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Kind
from steadyd.records.accounts import NewAccount
from steadyd.records.library import Library, open_library
from steadyd.store import Database

NOW = 1_000_000.0
ADA = NewAccount("ada", "ada@example.org", "$argon2id$ada")


@pytest.fixture
def library(database: Database) -> Library:
    return open_library(database)


async def refusal(work: object) -> str:
    with pytest.raises(SteadyError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


def test_a_user_signs_up_once(library: Library) -> None:
    async def body() -> None:
        made = await library.accounts.sign_up(ADA, None, NOW)
        assert (made.kind, made.name) == (Kind.USER, "ada")
        assert await refusal(library.accounts.sign_up(ADA, None, NOW)) == "name_taken"
        account = await library.accounts.by_username("ada")
        assert account is not None
        assert (account.principal, account.email, account.password) == (made, ADA.email, ADA.password)
        assert await library.accounts.by_username("bob") is None
        assert [a.principal.name for a in await library.accounts.everyone()] == ["ada"]

    asyncio.run(body())


def test_a_guests_apps_become_the_users_and_the_guest_is_gone(library: Library) -> None:
    async def body() -> None:
        guest, other = await library.people.add_guest(NOW), await library.people.add_guest(NOW)
        await library.people.set_notify(guest, "https://ntfy.example/x")
        token, session = await library.people.add_token(guest, "t", NOW), await library.people.add_session(guest, NOW)
        await library.apps.create("mine", guest, True, NOW)
        await library.apps.create("theirs", other, True, NOW)
        assert await refusal(library.accounts.sign_up(replace(ADA, invitation="none"), guest, NOW)) == "forbidden"
        assert await library.tokens.find(token, NOW) is not None
        made = await library.accounts.sign_up(ADA, guest, NOW)
        (app,) = await library.apps.of_owner(made.id)
        assert (app.name, app.temporary, app.expires_at, app.owner_kind) == ("mine", False, None, Kind.USER)
        assert await library.people.by_id(guest.id) is None
        assert await library.tokens.find(token, NOW) is None
        assert await library.people.by_session(session, NOW) is None
        assert len(await library.apps.of_owner(other.id)) == 1
        kept = await library.people.by_id(made.id)
        assert kept is not None
        assert kept.notify == "https://ntfy.example/x"
        await library.accounts.adopt(made, other, NOW)
        assert {app.name for app in await library.apps.of_owner(made.id)} == {"mine", "theirs"}

    asyncio.run(body())


def test_an_invitation_is_used_up_by_who_gets_in(library: Library) -> None:
    async def body() -> None:
        operator = await library.people.operator(NOW)
        await library.accounts.sign_up(ADA, None, NOW)
        secret, _ = await library.accounts.invite(operator, NOW)
        assert await refusal(library.accounts.sign_up(replace(ADA, invitation=secret), None, NOW)) == "name_taken"
        await library.accounts.sign_up(replace(ADA, username="bob", invitation=secret), None, NOW)
        late = replace(ADA, username="eve", invitation=secret)
        assert await refusal(library.accounts.sign_up(late, None, NOW)) == "forbidden"

    asyncio.run(body())


def test_a_reset_ends_every_session(library: Library) -> None:
    async def body() -> None:
        ada = await library.accounts.sign_up(ADA, None, NOW)
        session = await library.people.add_session(ada, NOW)
        assert await refusal(library.accounts.add_reset("bob", NOW)) == "not_found"
        secret, _ = await library.accounts.add_reset("ada", NOW)
        assert await refusal(library.accounts.reset("nonsense", "x", NOW)) == "forbidden"
        assert await library.accounts.reset(secret, "$argon2id$new", NOW) == ada
        assert await refusal(library.accounts.reset(secret, "x", NOW)) == "forbidden"
        assert await library.people.by_session(session, NOW) is None
        account = await library.accounts.by_username("ada")
        assert account is not None
        assert account.password == "$argon2id$new"

    asyncio.run(body())


def test_who_is_suspended_is_nobody_until_resumed(library: Library) -> None:
    async def body() -> None:
        ada = await library.accounts.sign_up(ADA, None, NOW)
        token, session = await library.people.add_token(ada, "t", NOW), await library.people.add_session(ada, NOW)
        assert (await library.accounts.suspend("ada", "Spam.")).suspended == "Spam."
        assert await library.tokens.find(token, NOW) is None
        assert await library.people.by_session(session, NOW) is None
        link = await library.people.add_login_link(ada, NOW)
        assert await library.people.take_login_link(link, NOW) is None
        assert (await library.accounts.resume("ada")).suspended == ""
        assert await library.tokens.find(token, NOW) is not None
        assert await library.people.by_session(session, NOW) is None
        for change in (library.accounts.suspend("bob", "x"), library.accounts.resume("bob")):
            assert await refusal(change) == "not_found"

    asyncio.run(body())
