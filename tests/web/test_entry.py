"""Signing up and logging in, below the calls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Scope
from steadyd.web.auth import Caller
from steadyd.web.backoff import ACCOUNT_FREE
from steadyd.web.entry import EMAIL_CHARACTERS_MAX, Newcomer, guest_of, log_in, sign_up
from tests.web.conftest import CLIENT, Stage, Web

ADA = Newcomer("ada", "correct horse", "ada@example.org")


async def refusal(work: object) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        await work  # type: ignore[misc]
    return caught.value


def test_what_one_signs_up_with_is_checked_before_anything_is_written(web: Web) -> None:
    async def body(stage: Stage) -> None:
        long_email = "a" * EMAIL_CHARACTERS_MAX + "@b"
        wrong = {
            "invalid_name": [replace(ADA, username=name) for name in ("", "a", "admin", "xn--x", "é", "a b", "x" * 41)],
            "invalid": [
                *(replace(ADA, password=password) for password in ("", "short", "x" * 1_025)),
                *(replace(ADA, email=email) for email in ("nobody", "a@b\n", "a b@c", "@", long_email)),
            ],
        }
        for code, newcomers in wrong.items():
            for new in newcomers:
                assert (await refusal(sign_up(stage.rooms, Caller(), CLIENT, new))).code == code, new
        assert await stage.rooms.library.accounts.everyone() == []

    web(body)


def test_names_differ_in_more_than_their_case(web: Web) -> None:
    async def body(stage: Stage) -> None:
        made = await sign_up(stage.rooms, Caller(), CLIENT, replace(ADA, username="Ada"))
        assert made.name == "ada"
        again = replace(ADA, username="ADA")
        assert (await refusal(sign_up(stage.rooms, Caller(), CLIENT, again))).code == "name_taken"
        assert await log_in(stage.rooms, Caller(), CLIENT, "aDa", ADA.password) == made

    web(body)


def test_an_unknown_name_and_a_wrong_password_answer_alike(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await sign_up(stage.rooms, Caller(), CLIENT, ADA)
        wrong = await refusal(log_in(stage.rooms, Caller(), CLIENT, "ada", "wrong horse"))
        unknown = await refusal(log_in(stage.rooms, Caller(), CLIENT, "nobody", "wrong horse"))
        assert (wrong.code, wrong.message, wrong.details) == (unknown.code, unknown.message, unknown.details)

    web(body)


def test_wrong_passwords_make_everybody_wait_also_on_loopback_and_not_for_ever(web: Web) -> None:
    async def body(stage: Stage) -> None:
        ticks = 0.0
        rooms = replace(stage.rooms, ticks=lambda: ticks)
        made = await sign_up(rooms, Caller(), CLIENT, ADA)
        tries = [log_in(rooms, Caller(), "127.0.0.1", "ada", "wrong horse") for _ in range(ACCOUNT_FREE + 3)]
        refused = await asyncio.gather(*tries, return_exceptions=True)  # at once: none slips through
        codes = [error.code for error in refused if isinstance(error, SteadyError)]
        assert sorted(codes) == ["rate_limited"] * 3 + ["unauthorized"] * ACCOUNT_FREE
        waiting = await refusal(log_in(rooms, Caller(), "127.0.0.1", "ADA", ADA.password))
        assert (waiting.code, waiting.retry_after) == ("rate_limited", 1)
        ticks = 1.0
        assert await log_in(rooms, Caller(), "127.0.0.1", "ada", ADA.password) == made
        assert (await refusal(log_in(rooms, Caller(), "127.0.0.1", "ada", "wrong horse"))).code == "unauthorized"

    web(body)


def test_an_unknown_name_waits_as_well(web: Web) -> None:
    async def body(stage: Stage) -> None:
        for _ in range(ACCOUNT_FREE):
            assert (await refusal(log_in(stage.rooms, Caller(), CLIENT, "nobody", "x"))).code == "unauthorized"
        assert (await refusal(log_in(stage.rooms, Caller(), CLIENT, "nobody", "x"))).code == "rate_limited"

    web(body)


def test_a_password_that_nobody_looked_at_was_not_wrong(web: Web) -> None:
    async def body(stage: Stage) -> None:
        rooms = stage.rooms
        await sign_up(rooms, Caller(), CLIENT, ADA)
        busy = [asyncio.create_task(rooms.passwords.hash("correct horse")) for _ in range(34)]
        await asyncio.sleep(0)
        for _ in range(ACCOUNT_FREE + 1):
            assert (await refusal(log_in(rooms, Caller(), CLIENT, "ada", ADA.password))).code == "overloaded"
        await asyncio.gather(*busy)
        assert (await log_in(rooms, Caller(), CLIENT, "ada", ADA.password)).name == "ada"

    web(body)


def test_a_suspended_user_is_told_and_only_with_the_right_password(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await sign_up(stage.rooms, Caller(), CLIENT, ADA)
        await stage.rooms.library.accounts.suspend("ada", "Spam.")
        told = await refusal(log_in(stage.rooms, Caller(), CLIENT, "ada", ADA.password))
        assert (told.code, "Spam." in told.message) == ("suspended", True)
        assert (await refusal(log_in(stage.rooms, Caller(), CLIENT, "ada", "wrong horse"))).code == "unauthorized"

    web(body)


def test_who_may_sign_up(web: Web) -> None:
    async def body(stage: Stage) -> None:
        operator = Caller(stage.operator, "token")
        closed = replace(stage.rooms, signup="closed")
        assert (await refusal(sign_up(closed, Caller(), CLIENT, ADA))).code == "forbidden"
        assert (await sign_up(closed, operator, CLIENT, ADA)).name == "ada"
        by_invitation = replace(stage.rooms, signup="invite")
        bob = replace(ADA, username="bob")
        for invitation in ("", "nonsense"):
            refused = await refusal(sign_up(by_invitation, Caller(), CLIENT, replace(bob, invitation=invitation)))
            assert refused.code == "forbidden"
        secret, _ = await stage.rooms.library.accounts.invite(stage.operator, time.time())
        assert (await sign_up(by_invitation, Caller(), CLIENT, replace(bob, invitation=secret))).name == "bob"
        again = replace(bob, username="eve", invitation=secret)
        assert (await refusal(sign_up(by_invitation, Caller(), CLIENT, again))).code == "forbidden"

    web(body)


def test_only_a_whole_guest_becomes_a_user(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.rooms.people.add_guest(0.0)
        assert guest_of(Caller(guest, "session")) == guest
        assert guest_of(Caller(guest, "token", scope=Scope.DEPLOY)) is None
        assert guest_of(Caller(guest, "token", app_id="x")) is None
        assert guest_of(Caller(stage.operator, "session")) is None
        assert guest_of(Caller()) is None

    web(body)
