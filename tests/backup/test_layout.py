"""Keys: each kind has its place, and what a key says can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup import layout
from steadyd.backup.layout import LtxName

NUMBERS = st.integers(0, 2**63 - 1)


def test_each_kind_of_key() -> None:
    line = layout.line("app1", 3, 17)
    assert layout.epoch(1) == "epochs/00000001"
    assert layout.steady(1) == "steady/00000001"
    assert line == "apps/app1/00000003/17"
    assert layout.ltx(line) == "apps/app1/00000003/17/ltx"
    assert layout.pins(line) == "apps/app1/00000003/17/pins"
    assert layout.content("ab" * 32) == f"contents/ab/{'ab' * 32}"
    assert layout.probe("x") == "probes/x"


@given(st.integers(0, 99_999_999))
def test_an_epochs_key_is_read_back(number: int) -> None:
    assert layout.epoch_number(layout.epoch(number)) == number


@pytest.mark.parametrize("key", ["", "epochs/1", "epochs/000000010", "epochs/0000000x", "x/epochs/00000001"])
def test_other_keys_are_no_epochs(key: str) -> None:
    assert layout.epoch_number(key) is None


@given(st.integers(0, 9), NUMBERS, NUMBERS)
def test_the_name_of_a_pin_is_read_back(level: int, first: int, last: int) -> None:
    name = LtxName(level, first, last, pinned=True)
    assert layout.ltx_name(layout.pin(layout.line("a", 1, 2), name)) == name


def test_levels_are_read_as_litestream_writes_them() -> None:
    """A folder has `ltx/9/`, a bucket `ltx/0009/`."""
    file = "0000000000000001-00000000000000ff.ltx"
    for level in ("9", "0009"):
        assert layout.ltx_name(f"apps/a/00000001/2/ltx/{level}/{file}") == LtxName(9, 1, 255)


@pytest.mark.parametrize("key", ["", "ltx/0/x.ltx", "ltx/0/0000000000000001-00000000000000ff.ltx.tmp", "a/b"])
def test_what_litestream_did_not_name_is_nothing(key: str) -> None:
    assert layout.ltx_name(key) is None


@pytest.mark.parametrize("bad", ["", "AB" * 32, "../" * 21 + "a", "ab" * 31])
def test_a_content_has_a_hash(bad: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        layout.content(bad)
