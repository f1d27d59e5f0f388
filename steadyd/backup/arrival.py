"""What comes before everything else at a start: the backup target is tried, and asked whose it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from steadyd.backup.epochs import Epochs, host_id
from steadyd.backup.objects import Objects, Patience
from steadyd.backup.target import Target
from steadyd.errors import SteadyError

FIRST_LOOK = Patience(attempts_max=2, answer_seconds_max=5.0)
"""A start waits no longer for a store that does not answer."""

logger = logging.getLogger("steadyd.backup")


@dataclass(frozen=True, slots=True)
class Arrival:
    """The target as it was found. `problem` says why it could not be tried; "" where it works."""

    objects: Objects
    epochs: Epochs
    problem: str = ""


async def arrive(target: Target, data: Path) -> Arrival:
    """Try the target of the host whose data folder this is. One that does not answer stops nobody.

    Raises:
        SteadyError: `replica_refused`, `replica_unfit`, with what to do; `cannot_start`.
    """
    objects, problem = Objects(target), ""
    try:
        await Objects(target, FIRST_LOOK).check()
    except SteadyError as error:
        if error.code != "replica_away":
            raise
        problem = error.message
        logger.warning(problem)
    return Arrival(objects, Epochs(objects, host_id(data)), problem)
