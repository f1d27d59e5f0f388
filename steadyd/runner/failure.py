"""Why an instance ended badly: what is known, what to blame, and one plain sentence. Decides only."""

from __future__ import annotations

from dataclasses import dataclass, field

from steadyd.errors import SteadyError
from steadyd.model import Reached
from steadyd.runner.evidence import Evidence
from steadyd.runner.process import Exit
from steadyd.runner.status import StatusEvent

MEMORY, PROCESSES, DISK, STOP_TIMEOUT = "memory", "processes", "disk", "stop_timeout"
NEAR_LIMIT = 0.98
"""An app that uses this share of its disk space counts as having reached the limit: a write is refused whole."""
DISK_FULL_WORDS = ("ENOSPC", "EDQUOT", "EFBIG", "No space left", "quota exceeded", "disk is full", "File too large")
NO_PROCESS_WORDS = ("EAGAIN", "Resource temporarily unavailable", "SystemResources", "failed to spawn thread")
"""What programs print when fork(2) or write(2) was refused; Bun's own words among them."""
CRASHES = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGTRAP"})
UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(eq=False, slots=True)
class Failure(Exception):
    """Why an instance never became ready, or did not stay."""

    cause: str
    """exit, signal or start_timeout."""
    message: str
    uptime_seconds: float
    ended: Exit | None = None
    where: StatusEvent | None = None
    lines: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    refusal: SteadyError | None = None
    """What everybody is told instead, where nothing of the app's ran and it is nobody's mistake but this host's."""

    def as_error(self, step: str) -> SteadyError:
        """The `deploy_failed` error of the contract: step, reason, place, last log lines."""
        reason = sentence(self, "")
        details: dict[str, object] = {"step": step, "reason": reason, "logs": self.lines}
        if self.where is not None:
            place = {"file": self.where.file, "line": self.where.line, "column": self.where.column}
            place["source_line"] = self.where.source
            details |= {name: value for name, value in place.items() if value}
        return SteadyError("deploy_failed", f"The app did not start: {reason}", details)


def killer(failure: Failure) -> str:
    """What ended it, in the contract's words. A limit is only blamed for an end that looks like its doing: an app whose
    every hundredth fork was refused may still die of a mistake."""
    ended, evidence = failure.ended, failure.evidence
    reached = evidence.reached
    if evidence.killed_for:
        return evidence.killed_for
    if ended is None or ended.code == 0:
        return failure.cause
    if evidence.memory_kills:
        return MEMORY
    if ended.signal == "SIGXFSZ" or (_disk_full(reached) and _says(failure.lines, DISK_FULL_WORDS)):
        return DISK
    if reached.process_refusals and _says(failure.lines, NO_PROCESS_WORDS):
        return PROCESSES
    return failure.cause


def sentence(failure: Failure, app: str) -> str:
    """What happened and what to do about it, for somebody who never saw a cgroup. `app` is its name, "" for one that
    there is not yet."""
    cause, reached = killer(failure), failure.evidence.reached
    if cause == MEMORY:
        return _more("memory", f"it needed more than its{_of(reached.memory_limit_bytes)} memory.", app, reached)
    if cause == PROCESSES:
        limit = f" {reached.processes_limit}" if reached.processes_limit else ""
        return _more("processes", f"it wanted more than its{limit} processes and threads at once.", app, reached)
    if cause == DISK:
        full = failure.evidence.why or f"it wrote more than its{_of(reached.disk_limit_bytes)} disk space can hold."
        return _more("disk", f"{full} Delete what it can spare.", app, reached)
    if cause == STOP_TIMEOUT:
        return "it was asked to end (SIGTERM), did not in time, and was killed. End it in process.on('SIGTERM')."
    return failure.message + _hint(failure.ended)


def size(value: int) -> str:
    """`256 MiB`: one that a settings command understands without the space."""
    for unit, name in UNITS:
        if value >= unit:
            return f"{value / unit:.4g} {name}"
    return f"{value} bytes"


# Private


def _more(setting: str, what: str, app: str, reached: Reached) -> str:
    limit = {
        "memory": reached.memory_limit_bytes,
        "processes": reached.processes_limit,
        "disk": reached.disk_limit_bytes,
    }[setting]
    if not limit:
        return what
    twice = str(2 * limit) if setting == "processes" else size(2 * limit).replace(" ", "")
    if not app:
        return f"{what} Ask for more in package.json: “steady”: {{ “{setting}”: “{twice}” }}."
    return f"{what} Raise it: steadyd settings {app} {setting}={twice}"


def _of(limit: int | None) -> str:
    return f" {size(limit)} of" if limit else ""


def _disk_full(reached: Reached) -> bool:
    used, limit = reached.disk_bytes, reached.disk_limit_bytes
    return bool(limit) and used is not None and limit is not None and used >= NEAR_LIMIT * limit


def _says(lines: list[str], words: tuple[str, ...]) -> bool:
    return any(word in line for line in lines for word in words)


def _hint(ended: Exit | None) -> str:
    if ended is None or ended.signal is None:
        return ""
    if ended.signal in CRASHES:
        return " That is a crash inside of Bun or of native code, not an exception of yours."
    if ended.signal == "SIGKILL":
        return " Something outside of its limits killed it: its own code, a person, or this machine out of memory."
    return ""
