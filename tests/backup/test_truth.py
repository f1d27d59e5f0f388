from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from steadyd.backup.truth import (
    LAG_SECONDS_MAX,
    PROOF_SECONDS_MAX,
    UNPROVEN_SECONDS_MAX,
    Proof,
    Replica,
    State,
    truth,
)

NOW = 1_000_000_000.0
REPLICA = Replica("data.sqlite", NOW - 10 * UNPROVEN_SECONDS_MAX, 0.0, NOW - 100.0)
PROOF = Proof(NOW - 7_300.0, True, 812.0)


def test_green_is_what_was_proven_and_says_when_and_how_long_it_took() -> None:
    found = truth([REPLICA], "", PROOF, NOW)
    assert (found.state, found.message) == (State.OK, "Proven restorable 2 hours ago, in 812 ms.")


def test_never_proven_is_never_green() -> None:
    assert truth([REPLICA], "", None, NOW).state is State.UNPROVEN
    new = replace(REPLICA, since=NOW - UNPROVEN_SECONDS_MAX)
    assert truth([new], "", None, NOW).state is State.WAITING
    assert truth([new], "", None, NOW + 1).state is State.UNPROVEN


def test_a_proof_ages_while_the_app_writes() -> None:
    old = replace(PROOF, at=NOW - PROOF_SECONDS_MAX - 1)
    assert truth([REPLICA], "", old, NOW).state is State.UNPROVEN
    assert truth([replace(REPLICA, synced_at=old.at)], "", old, NOW).state is State.OK
    assert truth([REPLICA], "", replace(PROOF, at=NOW - PROOF_SECONDS_MAX), NOW).state is State.OK


def test_what_lags_stalls_or_failed_is_red_and_says_what() -> None:
    behind = truth([replace(REPLICA, lag=LAG_SECONDS_MAX + 61)], "", PROOF, NOW)
    assert (behind.state, "2 minutes" in behind.message) == (State.BEHIND, True)
    failing = truth([REPLICA, replace(REPLICA, path="b", problem="no space")], "", PROOF, NOW)
    assert (failing.state, "“b”" in failing.message, "no space" in failing.message) == (State.FAILING, True, True)
    assert truth([REPLICA], "too many", PROOF, NOW).state is State.FAILING
    broken = truth([REPLICA], "", replace(PROOF, ok=False, problem="an object is gone"), NOW)
    assert (broken.state, "an object is gone" in broken.message) == (State.FAILING, True)


def test_an_app_without_databases_keeps_nothing() -> None:
    assert truth([], "", None, NOW).state is State.NOTHING


@given(
    st.lists(st.builds(Replica, st.just("a"), st.floats(0, NOW), st.floats(0, 1e6), st.floats(0, NOW) | st.none(),
                       st.sampled_from(["", "no"])), max_size=4),
    st.sampled_from(["", "no"]),
    st.none() | st.builds(Proof, st.floats(0, NOW), st.booleans(), st.floats(0, 1e6), st.just("why")),
)  # fmt: skip
def test_green_has_its_reasons(replicas: list[Replica], files_problem: str, proof: Proof | None) -> None:
    found = truth(replicas, files_problem, proof, NOW)
    if found.state is State.OK:
        assert proof is not None
        assert proof.ok
        assert not files_problem
        assert all(replica.lag <= LAG_SECONDS_MAX and not replica.problem for replica in replicas)
    assert found.message.endswith((".", "why", "no"))
    assert found.state.is_red == (found.state not in (State.OK, State.NOTHING, State.WAITING))
