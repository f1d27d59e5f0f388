"""What the daemon says of itself: on its standard error as ever, and as the log of an app of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from steadyd.runner.logs import Logs

UNHEARD = ("steadyd.logs",)
"""Whoever says that a log cannot be written would write a log with it, for ever."""


class Diary(logging.Handler):
    """Passes what any thread logs to the loop, where logs are kept. Made in the loop."""

    def __init__(self, logs: Logs, app_id: str) -> None:
        super().__init__(logging.INFO)
        self._logs = logs
        self._app_id = app_id
        self._loop = asyncio.get_running_loop()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in UNHEARD:
            return
        lines = self.format(record).encode("utf-8", "replace").split(b"\n")
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._logs.add, self._app_id, 0, "app", lines)


@contextlib.contextmanager
def kept(logs: Logs, app_id: str) -> Iterator[None]:
    """While this is open, what is logged is kept, too. What standard error shows is what it shows without us."""
    root, ours, diary = logging.getLogger(), logging.getLogger("steadyd"), Diary(logs, app_id)
    handlers: list[logging.Handler] = [diary]
    if not root.handlers and logging.lastResort is not None:
        handlers.append(logging.lastResort)
    level = ours.level
    for handler in handlers:
        root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
