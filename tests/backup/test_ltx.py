"""What LTX files reach: against a brute force over histories of transactions, merges and losses."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.ltx import (
    GRAINS_SECONDS,
    HEADER_BYTES,
    MAGIC,
    Choice,
    Gap,
    Moment,
    Piece,
    choose,
    gap,
    moments,
    parse_header,
    plan,
    spans,
)


def walk(pieces: Iterable[Piece]) -> set[int]:
    """Every transaction that some order of files leads to exactly."""
    pieces = list(pieces)
    reached = {0}
    while more := {p.last for p in pieces if any(p.first - 1 <= r < p.last for r in reached)} - reached:
        reached |= more
    return reached - {0}


@st.composite
def histories(draw: st.DrawFn) -> list[Piece]:
    """What is left of a line: transactions one by one, merged level by level, some files lost to age or to harm."""
    count = draw(st.integers(1, 30))
    times: list[float] = []
    for pause in draw(st.lists(st.sampled_from([0.3, 1.0, 20.0, 4_000.0]), min_size=count, max_size=count)):
        times.append(round((times[-1] if times else 1e9) + pause, 3))
    level = [Piece(0, txid, txid, 1, times[txid - 1]) for txid in range(1, count + 1)]
    found = list(level)
    for number in range(1, draw(st.integers(0, 3)) + 1):
        merged, at = [], 0
        while at < len(level):
            step = draw(st.integers(1, 6))
            group = level[at : at + step]
            merged.append(Piece(number, group[0].first, group[-1].last, 2, group[-1].at))
            at += step
        found += merged
        level = merged
    if draw(st.booleans()):
        txid = draw(st.integers(1, count))
        found.append(Piece(9, 1, txid, 9, times[txid - 1] + draw(st.sampled_from([0.0, 0.5, 500.0]))))
    kept = draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    keep_all = draw(st.booleans())
    return draw(st.permutations([p for p, keep in zip(found, kept, strict=True) if keep or keep_all]))


@given(histories())
def test_the_reachable_moments_are_those_that_some_order_of_files_leads_to(pieces: list[Piece]) -> None:
    assert [moment.txid for moment in moments(pieces)] == sorted(walk(pieces))


@given(histories())
def test_a_plan_leads_exactly_there_and_has_no_hole(pieces: list[Piece]) -> None:
    for txid in range(1, 32):
        found = plan(pieces, txid)
        assert bool(found) == (txid in walk(pieces))
        reached = 0
        for piece in found:
            assert piece.first <= reached + 1
            assert reached < piece.last <= txid
            reached = piece.last
        assert not found or reached == txid


@given(histories())
def test_what_is_missing_is_named(pieces: list[Piece]) -> None:
    held = {txid for piece in pieces for txid in range(piece.first, piece.last + 1)}
    for txid in range(1, 32):
        missing = gap(pieces, txid)
        if set(range(1, txid + 1)) <= held:
            assert missing is None
        else:
            assert missing is not None
            assert missing.first <= missing.last <= txid
            assert held.isdisjoint(range(missing.first, missing.last + 1))
            assert missing.first == min(set(range(1, txid + 1)) - held)


def test_a_transaction_within_a_merged_file_is_not_missing_but_cannot_be_reached() -> None:
    pieces = [Piece(0, 1, 1), Piece(1, 2, 9)]
    assert plan(pieces, 5) == []
    assert gap(pieces, 5) is None
    assert gap(pieces, 12) == Gap(10, 12)
    assert gap([*pieces, Piece(0, 12, 12)], 12) == Gap(10, 11)


@given(histories())
def test_moments_are_in_order_of_time_and_of_transactions(pieces: list[Piece]) -> None:
    found = moments(pieces)
    assert found == sorted(found, key=lambda moment: (moment.txid, moment.at))
    assert [moment.at for moment in found] == sorted(moment.at for moment in found)


@given(histories(), st.floats(-10, 40_000))
def test_the_newest_moment_at_or_before_the_wanted_one_is_chosen(pieces: list[Piece], after: float) -> None:
    found, at = moments(pieces), 1e9 + after
    choice = choose(found, at)
    before = [moment for moment in found if moment.at <= at]
    assert (choice.moment if choice else None) == (before[-1] if before else None)
    if choice and choice.next:
        assert choice.next.at > at
        assert at - choice.moment.at <= choice.precision


def test_the_newest_moment_has_nothing_after_it() -> None:
    assert choose([Moment(1, 10.0), Moment(2, 20.0)], 99.0) == Choice(Moment(2, 20.0), None)
    assert Choice(Moment(2, 20.0), None).precision == 0.0
    assert choose([Moment(1, 10.0)], 9.9) is None


def test_the_time_of_a_transaction_is_the_earliest_that_is_known_and_never_after_a_later_one() -> None:
    pieces = [Piece(0, 1, 1, at=10.0), Piece(0, 2, 2, at=20.0), Piece(9, 1, 1, at=500.0), Piece(9, 1, 2, at=500.0)]
    assert moments(pieces) == [Moment(1, 10.0), Moment(2, 20.0)]
    assert moments([pieces[1], pieces[2]]) == [Moment(1, 20.0), Moment(2, 20.0)]
    assert moments([replace(pieces[0], key="a")], {"a": 9.5}) == [Moment(1, 9.5)]


@given(histories())
def test_spans_cover_all_that_is_reachable_and_are_few(pieces: list[Piece]) -> None:
    found = moments(pieces)
    told = spans(found)
    assert len(told) <= len(GRAINS_SECONDS) + 1
    assert bool(told) == (len(found) > 1)
    if told:
        assert told[0].end == found[-1].at
        assert told[-1].start == found[0].at
        assert all(newer.start == older.end for newer, older in itertools.pairwise(told))
    for earlier, later in itertools.pairwise(found):
        if later.txid - earlier.txid > 1:
            span = next(span for span in reversed(told) if span.start <= earlier.at and later.at <= span.end)
            assert span.precision >= later.at - earlier.at


def test_a_long_rest_makes_nothing_coarser() -> None:
    written = [Moment(1, 0.0), Moment(2, 1.0), Moment(3, 40_000.0), Moment(4, 40_001.0)]
    assert [(span.start, span.end, span.precision) for span in spans(written)] == [(0.0, 40_001.0, 5.0)]
    merged = [Moment(1, 0.0), Moment(4, 30.0), Moment(5, 31.0)]
    assert [(span.start, span.end, span.precision) for span in spans(merged)] == [(30.0, 31.0, 1.0), (0.0, 30.0, 30.0)]


def header(page_bytes: int = 4096, first: int = 2, last: int = 3, magic: bytes = MAGIC) -> bytes:
    return (magic + struct.pack(">IIIQQQ", 2, page_bytes, 7, first, last, 1_700_000_000_123)).ljust(HEADER_BYTES, b"\0")


def test_a_header_is_read() -> None:
    found = parse_header(header())
    assert (found.page_bytes, found.pages, found.first, found.last) == (4096, 7, 2, 3)
    assert found.at == 1_700_000_000.123


@pytest.mark.parametrize(
    "content", [b"", header()[:99], header(magic=b"LTX2"), header(4095), header(first=0), header(first=4)]
)
def test_what_is_no_header_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"LTX|sense"):
        parse_header(content)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_header_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_header(MAGIC + content)
