"""An app's log by the page: every line once, in order, whatever happens to the files meanwhile."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd.runner.logfile import LogFolder
from steadyd.runner.logparts import BLOCK_BYTES, Part, Parts, Piece, Place, Wish, parse_place

CAP = BLOCK_BYTES * 10
ANY = Wish()


def record(number: int, tick: int = 0, text: str = "line", size: int = 0) -> bytes:
    """Stamped `tick` microseconds after three: many share one."""
    return f"2026-01-02T03:00:00.{tick:06d}Z 1 app {text} {number}{'x' * size}\n".encode()


def numbers(piece: Piece) -> list[int]:
    return [int(line.rsplit(b" ", 1)[1].rstrip(b"x")) for _, line in piece.records]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Parts]:
    with contextlib.closing(LogFolder(folder, CAP).open()) as parts:
        yield parts


BATCHES = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 12_000)), min_size=1, max_size=8)
"""Lines, and bytes of each: at most a part for each batch, and so few parts that none is removed."""


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES, pages=st.lists(st.integers(1, 30), min_size=1), bound=st.sampled_from((0, 1, BLOCK_BYTES)))
def test_no_line_is_lost_or_doubled(batches: list[tuple[int, int]], pages: list[int], bound: int) -> None:
    """Forward while it is written, rotated and opened anew for each page; then backward from the end. All lines of a
    batch have one time."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written, seen, place, turn = 0, [], Place(1, 0), 0
        for tick, (count, size) in enumerate(batches):
            LogFolder(folder, CAP).append(b"".join(record(written + n, tick, size=size) for n in range(count)))
            written += count
            with opened(folder) as parts:
                piece = parts.forward(place, pages[turn % len(pages)], ANY, bound)
            place, turn = piece.last, turn + 1
            seen += numbers(piece)
        while len(seen) < written:
            with opened(folder) as parts:
                piece = parts.forward(place, pages[turn % len(pages)], ANY, bound)
            assert piece.last > place
            place, turn = piece.last, turn + 1
            seen += numbers(piece)
        assert seen == list(range(written))
        with opened(folder) as parts:
            assert not parts.forward(place, 1, ANY, bound).more

        seen, before = [], None
        while True:
            with opened(folder) as parts:
                piece = parts.backward(before, pages[turn % len(pages)], ANY, bound)
            seen = numbers(piece) + seen
            before, turn = piece.first, turn + 1
            if not piece.more:
                break
        assert seen == list(range(written))


def test_a_search_is_bounded_and_goes_on(tmp_path: Path) -> None:
    for n in range(100):
        LogFolder(tmp_path, CAP).append(record(n, n, "rare" if n == 3 else "line", 9_000))
    found: list[int] = []
    before, looks = None, 0
    while True:
        with opened(tmp_path) as parts:
            piece = parts.backward(before, 10, Wish(b"rare"), 1)
        assert piece.looked_bytes <= BLOCK_BYTES
        found, before, looks = found + numbers(piece), piece.first, looks + 1
        if not piece.more:
            break
    assert found == [3]
    assert looks >= 3


def test_lines_are_wished_for_by_version_and_source(tmp_path: Path) -> None:
    lines = [b"1 app a 0", b"2 app a 1", b"2 steadyd a 2", b"12 app a 3"]
    LogFolder(tmp_path, CAP).append(b"".join(b"2026-01-02T03:00:00.000000Z %b\n" % line for line in lines))
    with opened(tmp_path) as parts:
        assert numbers(parts.backward(None, 9, Wish(version=2))) == [1, 2]
        assert numbers(parts.backward(None, 9, Wish(source=b"app"))) == [0, 1, 3]
        assert numbers(parts.forward(parts.begin, 9, Wish(b"a", 2, b"app"))) == [1]
        assert numbers(parts.forward(parts.begin, 9, Wish(b"2026"))) == []


def test_colours_do_not_hide_what_is_searched_for(tmp_path: Path) -> None:
    lines = [b"\x1b[1;32mall\x1b[0m fine 0", b"all fine 1", b"\x1b[32mnot fine 2"]
    LogFolder(tmp_path, CAP).append(b"".join(b"2026-01-02T03:00:00.000000Z 1 app %b\n" % line for line in lines))
    with opened(tmp_path) as parts:
        assert numbers(parts.backward(None, 9, Wish(b"all fine"))) == [0, 1]
        assert numbers(parts.backward(None, 9, Wish(b"[32m"))) == [2]


def test_a_time_is_found_across_parts(tmp_path: Path) -> None:
    for n in range(60):
        LogFolder(tmp_path, CAP).append(record(n, n // 3, size=9_000))
    assert (tmp_path / "app.log.1").exists()
    with opened(tmp_path) as parts:
        for tick in (0, 1, 7, 19):
            at = parts.find(b"2026-01-02T03:00:00.%06dZ" % tick)
            assert numbers(parts.forward(at, 1, ANY)) == [tick * 3]
            assert parts.count(at, parts.end) == 60 - tick * 3
        three, five = (parts.find(b"2026-01-02T03:00:00.%06dZ" % tick) for tick in (3, 5))
        assert numbers(parts.forward(three, 99, ANY, stop=five)) == list(range(9, 15))
        assert numbers(parts.backward(five, 99, ANY, stop=three)) == list(range(9, 15))
        assert not parts.backward(five, 6, ANY, stop=three).more
        assert not parts.forward(three, 6, ANY, stop=five).more
        assert parts.forward(three, 5, ANY, stop=five).more
        assert parts.find(b"2027") == parts.end
        assert parts.find(b"2025") == parts.begin


def test_a_place_that_is_gone_or_made_up_is_the_nearest(tmp_path: Path) -> None:
    for n in range(400):
        LogFolder(tmp_path, CAP).append(record(n, n, size=12_000))
    with opened(tmp_path) as parts:
        assert parts.begin.part > 1
        assert numbers(parts.forward(Place(1, 0), 1, ANY)) == numbers(parts.forward(parts.begin, 1, ANY))
        assert parts.backward(Place(1, 0), 1, ANY).records == []
        assert parts.forward(Place(10**9, 0), 1, ANY).records == []
        inside = parts.forward(Place(parts.begin.part, 5), 1, ANY)
        assert numbers(inside) == [numbers(parts.forward(parts.begin, 1, ANY))[0] + 1]


def test_nothing_written_is_an_empty_log(tmp_path: Path) -> None:
    parts = Parts([])
    assert (parts.begin, parts.end) == (Place(1, 0), Place(1, 0))
    assert (parts.backward(None, 9, ANY).records, parts.forward(Place(1, 0), 9, ANY).more) == ([], False)
    assert parts.find(b"2026") == Place(1, 0)
    assert Part(1, 0, 0).number == 1


def test_a_place_is_told_and_read() -> None:
    assert parse_place(str(Place(3, 4_096))) == Place(3, 4_096)
    assert [parse_place(text) for text in ("", "3", "3-", "-1-2", "3-4x", "٣-1", "1-" + "9" * 16)] == [None] * 7
