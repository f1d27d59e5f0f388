from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import ID_ALPHABET, ID_CHARACTERS, RESERVED_NAMES, check_name, random_id, random_name


@pytest.mark.parametrize("name", ["abc", "a-b", "hello", "a1-2-3", "a" * 40])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "Hello",
        "1abc",
        "-abc",
        "abc-",
        "a_b",
        "a.b",
        "a b",
        "ab--cd",
        "a" * 41,
        "héllo",
        "abc\n",
        "www",
        "api",
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(SteadyError) as caught:
        check_name(name)
    assert caught.value.code == "invalid_name"


@given(st.text())
def test_a_name_is_plain_or_refused(name: str) -> None:
    try:
        good = check_name(name)
    except SteadyError:
        return
    assert good.isascii()
    assert len(good) <= 40


def test_random_names_follow_the_rules() -> None:
    for _ in range(500):
        check_name(random_name())


def test_ids_are_permanent_and_safe_in_paths() -> None:
    ids = {random_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == ID_CHARACTERS and set(one) <= set(ID_ALPHABET) for one in ids)


def test_reserved_names_are_lower_case_words() -> None:
    assert all(name.isalnum() and name.islower() for name in RESERVED_NAMES)
