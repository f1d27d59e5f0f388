"""One line of the doctor, and how its checks ask a program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from steadyd.errors import SteadyError

PROBE_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `fix` is a command or a sentence; `required` says that the daemon cannot do without."""

    name: str
    state: str
    """ok or problem."""
    detail: str
    fix: str = ""
    required: bool = False

    @property
    def is_fatal(self) -> bool:
        return self.required and self.state == "problem"


def first_line(command: list[str]) -> str:
    """The first line that `command` prints.

    Raises:
        SteadyError: `cannot_start` with what it said last, if it does not start, fails or takes too long.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PROBE_SECONDS_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        raise SteadyError("cannot_start", said.splitlines()[-1]) from error
    return (done.stdout.strip().splitlines() or [""])[0]
