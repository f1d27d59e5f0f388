from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import (
    ID_ALPHABET,
    ID_CHARACTERS,
    RESERVED_NAMES,
    check_name,
    random_id,
    random_name,
    without_credentials,
)


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


@pytest.mark.parametrize(
    ("remote", "seen"),
    [
        ("https://git.example/ada/shop.git", "https://git.example/ada/shop.git"),
        ("https://ada:hunter2@git.example/ada/shop.git", "https://git.example/ada/shop.git"),
        ("https://hunter2@git.example:8443/shop", "https://git.example:8443/shop"),
        ("https://git.example/shop?private_token=hunter2#x", "https://git.example/shop"),
        ("ssh://git@[::1]:22/shop", "ssh://[::1]:22/shop"),
        ("git@git.example:ada/shop.git", "git@git.example:ada/shop.git"),
        ("ada:hunter2@git.example:shop.git", ""),
        ("https://ada:hun/ter2@git.example/shop", ""),
        ("https://ada:hunter2@x@git.example/shop", "https://git.example/shop"),
        ("file:///home/ada/shop", ""),
        ("/home/ada/shop", ""),
        ("../shop", ""),
        ("", ""),
    ],
)
def test_a_remote_is_seen_without_credentials(remote: str, seen: str) -> None:
    assert without_credentials(remote) == seen


@given(st.text(st.characters(exclude_characters="@:/?#", codec="utf-8"), min_size=8), st.booleans())
def test_no_password_of_a_remote_is_kept(password: str, in_query: bool) -> None:
    host = "git.example/shop"
    remote = f"https://{host}?key={password}" if in_query else f"https://ada:{password}@{host}"
    assert without_credentials(remote) in ("https://git.example/shop", "")
