"""Whether what an app keeps could be brought back: one word and one sentence, from what is known. No I/O.

Nothing is green because nothing was heard: an app whose databases were never restored for a proof is red until they
were, and so is one whose last proof failed, is too old, or is older than what stalls now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

LAG_SECONDS_MAX = 60.0
"""A replica that is farther behind than this is told in red."""
UNPROVEN_SECONDS_MAX = 3_600.0
"""A new database has so long until its first proof; then it is red."""
PROOF_SECONDS_MAX = 7 * 86_400.0
"""A proof is worth so long, while the app still writes."""


class State(StrEnum):
    """NOTHING: the app keeps nothing. OK is the only green one. WAITING: too new to be proven; told in grey."""

    NOTHING = "nothing"
    WAITING = "waiting"
    OK = "ok"
    BEHIND = "behind"
    FAILING = "failing"
    UNPROVEN = "unproven"

    @property
    def is_red(self) -> bool:
        return self in (State.BEHIND, State.FAILING, State.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Replica:
    """What is known of one database. `lag` is in seconds: 0 where the replica has everything. Times are in seconds
    since 1970."""

    path: str
    since: float
    """Followed since."""
    lag: float
    synced_at: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The last restore that was made to see whether one can be."""

    at: float
    ok: bool
    milliseconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """`message` is a sentence for the owner."""

    state: State
    message: str


def truth(replicas: Sequence[Replica], files_problem: str, proof: Proof | None, now: float) -> Truth:
    """The worst that is known, and what it means."""
    failing = [replica for replica in replicas if replica.problem]
    if failing:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        return Truth(State.FAILING, f"“{failing[0].path}”{more} is not kept elsewhere now: {failing[0].problem}")
    if files_problem:
        return Truth(State.FAILING, f"Its files are not kept elsewhere now: {files_problem}")
    late = max(replicas, key=lambda replica: replica.lag, default=None)
    if late is not None and late.lag > LAG_SECONDS_MAX:
        return Truth(State.BEHIND, f"What was written to “{late.path}” in the last {_said(late.lag)} is only here.")
    if not replicas:
        return Truth(State.NOTHING, "It has no databases and no other files.")
    return _proven(replicas, proof, now)


# Private


def _proven(replicas: Sequence[Replica], proof: Proof | None, now: float) -> Truth:
    if proof is None:
        age = now - min(replica.since for replica in replicas)
        if age <= UNPROVEN_SECONDS_MAX:
            return Truth(
                State.WAITING, "Everything is kept elsewhere. That it can be restored is proven when it sleeps."
            )
        return Truth(State.UNPROVEN, "It was never proven that it can be restored: that is tried while the app sleeps.")
    if not proof.ok:
        return Truth(State.FAILING, f"The last try to restore it failed: {proof.problem}")
    age = now - proof.at
    written = max((replica.synced_at or 0.0 for replica in replicas), default=0.0)
    if age > PROOF_SECONDS_MAX and written > proof.at:
        return Truth(State.UNPROVEN, f"It was last proven restorable {_said(age)} ago, and written to since.")
    return Truth(State.OK, f"Proven restorable {_said(age)} ago, in {proof.milliseconds:,.0f} ms.")


def _said(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{max(seconds, 0):.0f} s"
