from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.standing import Log
from steadyd.backup.stream import BEHIND_SECONDS, RETRY_SECONDS, RETRY_SECONDS_MAX, Health, Stream, retry_seconds, worst


def test_nothing_is_fine_before_it_was_compared() -> None:
    stream = Stream("a.db")
    assert (stream.health(0.0), stream.current) == (Health.UNKNOWN, False)
    stream.saw((1, b"x"), "note", 10.0)
    assert (stream.health(10.0), stream.current) == (Health.UNKNOWN, False)
    assert stream.health(10.0 + BEHIND_SECONDS) is Health.BEHIND


def test_the_lag_counts_from_when_it_was_seen_to_differ() -> None:
    stream = Stream("a.db")
    stream.saw((1, b"x"), "", 10.0)
    stream.went_well((1, b"x"), 5, 1, 1000.0)
    assert (stream.health(99.0), stream.lag(99.0), stream.good_at) == (Health.OK, 0.0, 1000.0)
    for now in (100.0, 101.0):
        stream.saw((1, b"y"), "", now)
    assert (stream.lag(102.0), stream.health(102.0)) == (2.0, Health.OK)
    assert stream.health(100.0 + BEHIND_SECONDS) is Health.BEHIND
    stream.went_well((1, b"y"), 6, 2, 1001.0)
    assert (stream.lag(102.0), stream.health(200.0)) == (0.0, Health.OK)


def test_what_was_written_during_a_sync_is_not_taken_for_replicated() -> None:
    stream = Stream("a.db")
    stream.saw((1, b"x"), "", 10.0)
    stream.saw((1, b"y"), "", 11.0)
    stream.went_well((1, b"x"), 5, 1, 1000.0)
    assert not stream.current
    assert stream.lag(12.0) == 2.0


def test_a_failure_is_told_though_nothing_was_written_since() -> None:
    stream = Stream("a.db")
    stream.saw((1, b"x"), "", 10.0)
    stream.went_well((1, b"x"), 5, 1, 1000.0)
    stream.went_wrong("it is damaged", False, 11.0)
    assert stream.health(11.0) is Health.FAILING
    stream.went_wrong("no answer", True, 12.0)
    assert (stream.health(12.0), stream.problem) == (Health.STALLED, "no answer")
    stream.went_well((1, b"x"), 5, 2, 1001.0)
    assert (stream.health(12.0), stream.problem, stream.failures) == (Health.OK, "", 0)


def test_what_a_former_daemon_noted_is_believed_while_it_looks_the_same() -> None:
    stream = Stream("a.db", replicated="note")
    stream.saw((1, b"x"), "note", 10.0)
    assert stream.current
    assert stream.health(10.0) is Health.OK
    other = Stream("a.db", replicated="note")
    other.saw((1, b"x"), "another", 10.0)
    assert not other.current


@given(st.integers(min_value=1, max_value=10_000))
def test_retries_come_less_and_less_often_and_never_all_at_once(failures: int) -> None:
    longest = min(RETRY_SECONDS * 2 ** min(failures - 1, 20), RETRY_SECONDS_MAX)
    assert longest / 2 <= retry_seconds(failures) <= longest


def test_the_worst_is_said_of_several() -> None:
    assert worst([]) is Health.OK
    assert worst([Health.OK, Health.UNKNOWN]) is Health.UNKNOWN
    assert worst(list(Health)) is Health.STALLED


def test_a_log_is_cut_only_under_the_eyes_of_litestream() -> None:
    whole, cut = Log(b"a" * 8, 3, 4120, 12392), Log(b"b" * 8, 0, 4120, 0)
    stream = Stream("a.db")
    stream.saw_log(whole, first=True)
    stream.saw_log(cut)
    assert not stream.cut  # nothing was registered: Litestream looks at all of it when it is
    stream.generation = 1
    stream.saw_log(cut)
    stream.saw_log(whole)
    assert stream.log is None  # nothing was synced yet
    stream.saw_log(whole, first=True)
    assert not stream.cut
    stream.saw_log(cut)
    stream.saw_log(None)
    assert stream.cut
