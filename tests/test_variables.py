from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.variables import (
    CONTEXTS,
    ENVIRON_BYTES_MAX,
    NAME_CHARACTERS_MAX,
    NAMES_MAX,
    RESERVED,
    VALUE_BYTES_MAX,
    Change,
    Place,
    Value,
    Variable,
    change_in,
    check_name,
    check_sizes,
    check_text,
    for_context,
    is_read_at_start,
    is_secret,
    shown,
)

NO_NAMES = ("", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A\0", "\ud800", "A" * (NAME_CHARACTERS_MAX + 1))
PLACES = st.tuples(st.sampled_from(CONTEXTS), st.sampled_from("ABCD"))


def refuses_name(name: str) -> str:
    with pytest.raises(SteadyError) as caught:
        check_name(name)
    assert caught.value.code == "invalid"
    caught.value.message.encode()
    return caught.value.message


@pytest.mark.parametrize("name", "A _ a1 DATABASE_URL PUBLIC_KEY BUN_PUBLIC_API PORTS NODE_ENV PATH".split())
def test_names_that_one_may_use(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_that_are_none(name: str) -> None:
    assert "cannot be a variable's name" in refuses_name(name)


def test_names_that_are_taken_say_why() -> None:
    taken = [pattern.replace("*", "X") for pattern in RESERVED]
    for name, reason in zip(taken, RESERVED.values(), strict=True):
        assert reason in refuses_name(name)
    assert "STEADY_ENV" in refuses_name("STEADY_ENV")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True),
        ("stripe_secret", True),
        ("GithubToken", True),
        ("PRIVATE_URL", True),
        ("DB_PASSWORD", True),
        ("PUBLIC_KEY", False),
        ("BUN_PUBLIC_TOKEN", False),
        ("GREETING", False),
    ],
)
def test_a_name_says_whether_it_is_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_some_names_only_count_at_the_start_of_a_program() -> None:
    assert all(
        map(is_read_at_start, ("HOME", "PATH", "NODE_ENV", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "FORCE_COLOR"))
    )
    assert not any(map(is_read_at_start, ("TZ", "HTTP_PROXY", "DATABASE_URL", "STEADY_APP", "HOMEPAGE", "MY_PATH")))


def test_a_value_is_a_text_without_nul_and_not_too_long() -> None:
    assert check_text("A", "a\nb\té") == "a\nb\té"
    assert check_text("A", "x" * VALUE_BYTES_MAX)
    assert check_text("A", "x" * (VALUE_BYTES_MAX + 1), bytes_max=0)
    for text, code in (("hush\0", "invalid"), ("hush\ud800", "invalid"), ("hush" * VALUE_BYTES_MAX, "too_large")):
        with pytest.raises(SteadyError) as caught:
            check_text("A", text)
        assert caught.value.code == code
        assert "hush" not in str(caught.value.body())


def test_an_app_has_so_many_names() -> None:
    sizes: dict[Place, int] = {("production", f"A{number}"): 1 for number in range(NAMES_MAX)}
    check_sizes(sizes | {("trial", "A1"): 1})
    with pytest.raises(SteadyError, match="at most 1,000"):
        check_sizes(sizes | {("trial", "B"): 1})


def test_an_instance_gets_so_much_in_all() -> None:
    half = ENVIRON_BYTES_MAX // 2
    check_sizes({("production", "A"): half, ("trial", "A"): half, ("production", "B"): half - 6})
    check_sizes({("production", "A"): half, ("trial", "B"): 1, ("preview", "B"): half - 6})
    with pytest.raises(SteadyError, match="trial"):
        check_sizes({("production", "A"): half, ("trial", "B"): half})


def test_other_contexts_fall_back_to_production() -> None:
    stored: dict[Place, str] = {("production", "A"): "a", ("production", "B"): "b", ("trial", "B"): "t"}
    assert for_context(stored, "production") == for_context(stored, "preview") == {"A": "a", "B": "b"}
    assert for_context(stored, "trial") == {"A": "a", "B": "t"}


@given(st.dictionaries(PLACES, st.none() | st.just(Value("x"))), st.sampled_from(CONTEXTS), PLACES)
def test_a_change_of_the_whole_removes_what_it_does_not_name(
    values: dict[Place, Value | None], context: str, place: Place
) -> None:
    part, whole = Change(values), Change(values, frozenset({context}))  # type: ignore[arg-type]
    assert part.removes(place) == (place in values and values[place] is None)
    assert whole.removes(place) == (values.get(place) is None and (place in values or place[0] == context))


def test_a_change_is_of_one_context() -> None:
    assert change_in("trial", {"A": None}) == Change({("trial", "A"): None})
    assert change_in("trial", {}, whole=True) == Change({}, frozenset({"trial"}))


def test_only_names_are_shown() -> None:
    stored: list[tuple[Place, bool, float]] = [
        (("trial", "A"), True, 1.0),
        (("production", "A"), False, 2.0),
        (("trial", "B"), False, 3.0),
    ]
    a, b = Variable(True, 2.0, ("production", "trial")), Variable(False, 3.0, ("trial",))
    assert shown(stored) == shown(stored, "trial") == {"A": a, "B": b}
    assert shown(stored, "production") == {"A": a}
    assert shown(stored, "preview") == {}


def test_a_value_is_never_printed() -> None:
    assert "hush" not in repr(Change({("production", "A"): Value("hush", True)}))
