from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.model import NICKNAME_CHARACTERS_MAX, check_nickname
from tests.web.conftest import Stage, Web, code

ADA = {"username": "ada", "password": "correct horse"}


def test_a_guest_has_a_nickname_and_an_account_an_address(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(await stage.guest()) as guest:
            changed = await guest.patch("/api/me", json={"nickname": "  Quiet   Heron "})
            assert changed.json()["user"]["name"] == "Quiet Heron"
            assert (await guest.get("/api/me")).json() == changed.json()
            assert "email" not in changed.json()["user"]
            assert code(await guest.patch("/api/me", json={"email": "a@b.c"})) == "forbidden"
        async with stage.client() as user:
            await user.post("/api/users", json=ADA)
            assert (await user.patch("/api/me", json={"email": "a@b.c"})).json()["user"]["email"] == "a@b.c"
            assert (await user.patch("/api/me", json={"email": None})).json()["user"]["email"] == ""
            assert code(await user.patch("/api/me", json={"nickname": "eve"})) == "forbidden"
        async with stage.client(stage.operator_token) as operator:
            assert code(await operator.patch("/api/me", json={"nickname": "eve"})) == "forbidden"

    web(body)


def test_what_does_not_fit_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(await stage.guest()) as guest:
            before = (await guest.get("/api/me")).json()
            both = {"nickname": "Eve", "notify": "ftp://x"}
            for wrong in (both, {"nickname": ""}, {"nickname": None}, {"name": "x"}):
                assert code(await guest.patch("/api/me", json=wrong)) == "invalid", wrong
            assert (await guest.get("/api/me")).json() == before

    web(body)


def test_a_nickname_can_be_seen_and_is_short() -> None:
    assert check_nickname(" é\t猫 ") == "é 猫"
    assert len(check_nickname("x" * NICKNAME_CHARACTERS_MAX)) == NICKNAME_CHARACTERS_MAX
    for wrong in ("", " \n", "x" * (NICKNAME_CHARACTERS_MAX + 1), "a\u202eb", "a\x00b", "\u200b"):
        with pytest.raises(SteadyError, match="A nickname has"):
            check_nickname(wrong)
