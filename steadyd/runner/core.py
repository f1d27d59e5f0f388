"""The daemon itself, told of as one of the apps that it runs: a name, an owner, and what it uses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil

from steadyd.model import App, Kind, Limits, Principal, Settings
from steadyd.records.metrics import Reading

CORE_NAME = "steady"
"""Reserved: no app of anybody's is called that."""


class Core:
    """`app` is what its page and its calls speak of; nothing of it is in the records. `asked` counts its requests since
    the daemon started."""

    def __init__(self, app_id: str, operator: Principal, started_at: float, asked: Callable[[], int]) -> None:
        self.app = App(
            id=app_id, number=0, name=CORE_NAME, owner_id=operator.id, owner_name=operator.name, version=0,
            temporary=False, held=False, created_at=operator.created_at, updated_at=started_at,
            owner_kind=Kind.OPERATOR, settings=Settings(limits=Limits(0, 0.0, 0, 0), idle_seconds=0.0),
        )  # fmt: skip
        self.asked = asked
        self._process = psutil.Process()

    def reading(self) -> Reading | None:
        """What this process uses now, from any thread."""
        with contextlib.suppress(psutil.Error):
            process = self._process
            with process.oneshot():
                spent, memory = process.cpu_times(), process.memory_info().rss
                return Reading(memory, spent.user + spent.system, process.create_time(), processes=1)
        return None
