"""The queue before the replica, against a model: nobody passes too early, nobody waits for ever."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from steadyd.backup.waiting import WITHHELD_BYTES_MAX, Verdict, Waiting

SECONDS = 5.0


class Histories(RuleBasedStateMachine):
    """Writes, answers, syncs that end well or badly, time, and clients that leave."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Waiting[int] = Waiting(SECONDS)
        self.now = 100.0
        self.committed = 0
        self.replicated = 0
        self.begun: int | None = None
        """What was committed when the sync under way began."""
        self.told: dict[int, tuple[float, int]] = {}
        """Who waits → since when, and what their answers may tell of."""
        self.succeeded_at = float("-inf")
        self.answers = 0

    @property
    def position(self) -> tuple[int, ...]:
        return (self.committed,) if self.committed else ()

    @rule()
    def write(self) -> None:
        self.committed += 1

    @rule(size=st.integers(0, WITHHELD_BYTES_MAX))
    def answer(self, size: int) -> None:
        self.answers += 1
        room = WITHHELD_BYTES_MAX - self.waiting._bytes
        verdict = self.waiting.arrive(self.answers, self.position, size, self.now)
        if verdict is Verdict.PASS:
            assert self.replicated == self.committed
        elif verdict is Verdict.WAIT:
            self.told[self.answers] = (self.now, self.committed)
        else:
            assert self.waiting.away or size > room

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.told)))
        self.waiting.leave(who)
        del self.told[who]

    @precondition(lambda self: self.begun is None and self.waiting.wants_sync)
    @rule()
    def begin(self) -> None:
        self.waiting.begin(self.position)
        self.begun = self.committed

    @precondition(lambda self: self.begun is not None)
    @rule()
    def succeed(self) -> None:
        assert self.begun is not None
        self.replicated, self.begun = self.begun, None
        self.succeeded_at = self.now
        for who in self.waiting.succeed(self.now):
            _, tells_of = self.told.pop(who)
            assert tells_of <= self.replicated
        assert all(tells_of > 0 for _, tells_of in self.told.values())
        assert not self.waiting.away

    @precondition(lambda self: self.begun is not None)
    @rule()
    def fail(self) -> None:
        self.waiting.fail()
        self.begun = None

    @rule(seconds=st.floats(0.0, 2 * SECONDS))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for who in self.waiting.expire(self.now):
            came, _ = self.told.pop(who)
            assert came + SECONDS <= self.now or self.waiting.away
        if self.waiting.away:
            assert not self.told

    @invariant()
    def books_are_kept(self) -> None:
        assert len(self.waiting) == len(self.told)
        assert self.waiting.deadline == min((came + SECONDS for came, _ in self.told.values()), default=None)
        assert self.waiting.wants_sync or not self.told

    def teardown(self) -> None:
        """Two syncs that end well let everybody pass, whatever was before."""
        for _ in range(2):
            if self.begun is None:
                self.begin()
            self.succeed()
        assert not self.told


Histories.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
test_histories = Histories.TestCase


def test_who_comes_before_a_sync_begins_shares_it() -> None:
    waiting: Waiting[str] = Waiting(SECONDS)
    assert {waiting.arrive(who, (1,), 10, 0.0) for who in "abc"} == {Verdict.WAIT}
    waiting.begin((1,))
    assert waiting.succeed(0.1) == ["a", "b", "c"]
    assert waiting.arrive("d", (1,), 10, 0.2) is Verdict.PASS


def test_who_comes_while_it_runs_shares_it_only_if_nothing_was_committed_since() -> None:
    waiting: Waiting[str] = Waiting(SECONDS)
    waiting.arrive("first", (1,), 10, 0.0)
    waiting.begin((1,))
    waiting.arrive("reads", (1,), 10, 0.1)
    waiting.arrive("wrote", (2,), 10, 0.1)
    assert waiting.succeed(0.2) == ["first", "reads"]
    waiting.begin((2,))
    assert waiting.succeed(0.3) == ["wrote"]


def test_without_a_database_nothing_waits() -> None:
    assert Waiting[str](SECONDS).arrive("a", {}, 10, 0.0) is Verdict.PASS


def test_one_wait_in_vain_is_enough() -> None:
    waiting: Waiting[str] = Waiting(SECONDS)
    waiting.arrive("first", (1,), 10, 0.0)
    waiting.begin((1,))
    waiting.arrive("second", (2,), 10, 4.0)
    assert waiting.expire(SECONDS) == ["first", "second"]
    assert waiting.away
    assert waiting.arrive("third", (2,), 10, 6.0) is Verdict.REFUSE
    waiting.fail()
    assert waiting.wants_sync  # nobody waits, and yet it is found out when it works again
    waiting.begin((2,))
    assert waiting.succeed(7.0) == []
    assert waiting.arrive("fourth", (2,), 10, 7.0) is Verdict.PASS


def test_a_slow_replica_is_not_one_that_is_away() -> None:
    waiting: Waiting[str] = Waiting(SECONDS)
    waiting.arrive("first", (1,), 10, 0.0)
    waiting.begin((1,))
    waiting.arrive("second", (2,), 10, 1.0)
    waiting.succeed(4.0)
    waiting.begin((2,))
    assert waiting.expire(6.0) == ["second"]
    assert not waiting.away


def test_so_many_bytes_wait_and_no_more() -> None:
    waiting: Waiting[str] = Waiting(SECONDS, bytes_max=100)
    assert waiting.arrive("a", (1,), 60, 0.0) is Verdict.WAIT
    assert waiting.arrive("b", (1,), 60, 0.0) is Verdict.REFUSE
    waiting.leave("a")
    assert waiting.arrive("c", (1,), 100, 0.0) is Verdict.WAIT
