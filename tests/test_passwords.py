"""Passwords: hashed off the loop, so many at once, and as slow for nobody as for somebody."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace

import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY

from steadyd.errors import SteadyError
from steadyd.passwords import (
    HASHES_AT_ONCE_MAX,
    HASHES_WAITING_MAX,
    PASSWORD_BYTES_MAX,
    PASSWORD_BYTES_MIN,
    Checked,
    Passwords,
    check_password,
)

CHEAP = replace(RFC_9106_LOW_MEMORY, memory_cost=64, time_cost=1, parallelism=1)


def test_a_password_is_right_or_wrong() -> None:
    async def body() -> None:
        passwords = Passwords()
        stored = await passwords.hash("correct horse")
        assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert await passwords.check("correct horse", stored) == Checked(True)
        for wrong in ("correct hors", "correct horsee", "", "\udcff"):
            assert await passwords.check(wrong, stored) == Checked(False)
        assert await passwords.check("correct horse", "no hash at all") == Checked(False)
        assert await passwords.hash("correct horse") != stored
        passwords.close()

    asyncio.run(body())


def test_a_hash_by_other_parameters_is_made_again() -> None:
    async def body() -> None:
        old, new = Passwords(CHEAP), Passwords(replace(CHEAP, time_cost=2))
        stored = await old.hash("correct horse")
        checked = await new.check("correct horse", stored)
        assert checked.right
        assert "t=2" in checked.again
        assert await new.check("correct horse", checked.again) == Checked(True)
        assert await new.check("wrong horse", stored) == Checked(False)
        old.close()
        new.close()

    asyncio.run(body())


def test_nobodys_password_takes_as_long() -> None:
    async def body() -> None:
        passwords = Passwords()
        stored = await passwords.hash("correct horse")
        took: dict[bool, list[float]] = {True: [], False: []}
        for known in [True, False] * 7:
            began = time.perf_counter()
            assert not (await passwords.check("wrong horse", stored if known else None)).right
            took[known].append(time.perf_counter() - began)
        ratio = statistics.median(took[False]) / statistics.median(took[True])
        assert 0.3 < ratio < 3.0
        passwords.close()

    asyncio.run(body())


def test_the_loop_goes_on_meanwhile_and_a_crowd_is_refused() -> None:
    async def body() -> None:
        passwords = Passwords()
        crowd = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(40)]
        longest, last = 0.0, time.perf_counter()
        while not all(task.done() for task in crowd):
            await asyncio.sleep(0)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
        results = await asyncio.gather(*crowd, return_exceptions=True)
        refused = [result for result in results if isinstance(result, SteadyError)]
        assert {error.code for error in refused} == {"overloaded"}
        assert len(refused) == 40 - HASHES_AT_ONCE_MAX - HASHES_WAITING_MAX
        assert longest < 1.0
        assert (await passwords.hash("correct horse")).startswith("$argon2id$")
        passwords.close()

    asyncio.run(body())


@pytest.mark.parametrize("password", ["x" * (PASSWORD_BYTES_MIN - 1), "é" * (PASSWORD_BYTES_MAX // 2) + "x", ""])
def test_a_password_has_a_length(password: str) -> None:
    with pytest.raises(SteadyError) as caught:
        check_password(password)
    assert caught.value.code == "invalid"
    assert password not in caught.value.message or not password


def test_bytes_count_not_letters() -> None:
    assert check_password("é" * (PASSWORD_BYTES_MIN // 2)) == "é" * (PASSWORD_BYTES_MIN // 2)
    assert check_password("x" * PASSWORD_BYTES_MAX) == "x" * PASSWORD_BYTES_MAX
