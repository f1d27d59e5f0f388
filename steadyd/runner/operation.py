"""Multi-step work on one app. Each step is in the journal before it begins, so that a crash leaves no doubt.

An operation is a history: begun, step, step, committed, step, finished. Until it is committed nothing of it is true,
and an error or a crash undoes it. From then on it is true, and what is left is only finished. `recovery.py` reads the
same rows after a crash.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from steadyd.errors import SteadyError
from steadyd.model import App, Event, Principal
from steadyd.moment import Mark, Point, PointKind, PointState
from steadyd.records.journal import Journal
from steadyd.store import Write

T = TypeVar("T")

STEP = "step"
"""The kind of event that tells of a step. It is told live and not remembered: the journal has it."""
OPERATIONS_PER_APP_MAX = 64
"""Under way or waiting for their turn."""

begun: ContextVar[asyncio.Future[int] | None] = ContextVar("begun", default=None)
"""Told the id of the next operation that begins in this context."""

logger = logging.getLogger("steadyd.operation")


class Operation:
    """One piece of work under way. `steps` are those that ended: `{name, ms, ok}`."""

    def __init__(
        self, number: int, app: App, kind: str, by: str, journal: Journal, tell: Callable[[str, Event], None]
    ) -> None:
        self.id = number
        self.by = by
        """The name of who asked for it."""
        self.app_id = app.id
        self.kind = kind
        self.steps: list[dict[str, Any]] = []
        self.current = ""
        self.committed = False
        self.cancellable = True
        """False once requests are held for it: from there to the end it takes a moment, and is not to be cut."""
        self.cancelled = False
        self.over = asyncio.Event()
        self._task = asyncio.current_task()
        self._journal = journal
        self._tell = tell

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """One step: recorded before it begins, timed, and told to whoever follows the app's events. What is put into
        the value is remembered with it."""
        self.current = name
        await self._journal.step(self.id, name, self.steps)
        self._say(name, "begun")
        began, ok = time.perf_counter(), False
        told: dict[str, Any] = {}
        try:
            yield told
            ok = True
        finally:
            self.steps.append({"name": name, "ms": round((time.perf_counter() - began) * 1000, 1), "ok": ok, **told})
            self._say(name, "done" if ok else "failed")

    def point(self, kind: PointKind, mark: Mark, version: int, note: str = "") -> Point:
        """The restore point of what was before it, or is with it; `version` was live then. It waits for the replica."""
        return Point(0, self.app_id, kind, mark, self.by, note, version, self.id, PointState.PENDING)

    def tell(self, said: str) -> None:
        """How far the present step is, to whoever follows now."""
        self._say(self.current, "going on", said)

    async def commit(self, *writes: Write) -> None:
        """Make `writes` true in one transaction, and the operation with them."""
        await self._journal.commit(self.id, writes)
        self.committed = True

    def cancel(self) -> bool:
        """Stop it where nothing of it is true yet; false where it is too late for that."""
        if self.committed or not self.cancellable or self._task is None:
            return False
        self.cancelled = True
        self._task.cancel()
        return True

    # Private

    def _say(self, name: str, state: str, said: str = "") -> None:
        details: dict[str, Any] = {"operation": self.id, "operation_kind": self.kind, "step": name, "state": state}
        message = f"{self.kind}: {name}"
        if said:
            details["said"] = said
            message += f": {said}"
        elif state != "begun":
            details["ms"] = self.steps[-1]["ms"]
            message += f", {state} after {details['ms']:g} ms"
        self._tell(self.app_id, Event(time.time(), STEP, message, details))


class Operations:
    """Every operation under way. `tell` publishes an event of an app to whoever follows it now."""

    def __init__(self, journal: Journal, tell: Callable[[str, Event], None]) -> None:
        self._journal = journal
        self._tell = tell
        self._open: dict[int, Operation] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def open(self, app: App, kind: str, by: Principal) -> AsyncIterator[Operation]:
        """An operation from its entry in the journal to its outcome there.

        Raises:
            SteadyError: `overloaded` past OPERATIONS_PER_APP_MAX, `cancelled`, or what was raised inside.
        """
        if sum(operation.app_id == app.id for operation in self._open.values()) >= OPERATIONS_PER_APP_MAX:
            message = f"{OPERATIONS_PER_APP_MAX} operations of “{app.name}” wait already. Try again soon."
            raise SteadyError("overloaded", message, retry_after=2)
        operation = Operation(
            await self._journal.begin(app, kind, by, time.time()), app, kind, by.name, self._journal, self._tell
        )
        self._open[operation.id] = operation
        _announce(operation.id)
        try:
            yield operation
        except BaseException as error:
            failed = _said(operation, error)
            await self._finish(operation, "cancelled" if operation.cancelled else "failed", failed)
            if operation.cancelled:
                raise failed from error
            raise
        else:
            await self._finish(operation, "done")
        finally:
            del self._open[operation.id]
            operation.over.set()

    def present(self, number: int) -> Operation | None:
        """One that is under way; None if it is not."""
        return self._open.get(number)

    async def cancel(self, number: int) -> bool:
        """Cancel one that is under way, and wait until it is undone; false if it is not, or if it is too late."""
        operation = self._open.get(number)
        if operation is None or not operation.cancel():
            return False
        await operation.over.wait()
        return True

    def cancel_all(self, app_id: str) -> None:
        """Cancel whatever of one app's is under way, or waits, and can still be."""
        for operation in list(self._open.values()):
            if operation.app_id == app_id:
                operation.cancel()

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` even if whoever asked for it goes away."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # Private

    async def _finish(self, operation: Operation, outcome: str, error: SteadyError | None = None) -> None:
        said = error.body()["error"] if error is not None else None
        await self._journal.finish(operation.id, outcome, time.time(), operation.steps, said)
        details = {"operation": operation.id, "operation_kind": operation.kind, "step": "", "state": "ended"}
        self._tell(operation.app_id, Event(time.time(), STEP, f"{operation.kind}: {outcome}", details))


# Private


def _announce(number: int) -> None:
    future = begun.get()
    if future is not None and not future.done():
        future.set_result(number)


def _said(operation: Operation, error: BaseException) -> SteadyError:
    """What the journal and whoever asked are told."""
    if operation.cancelled:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        step = f" at “{operation.current}”" if operation.current else ""
        return SteadyError("cancelled", f"It was cancelled{step}. Nothing was changed.", {"step": operation.current})
    if isinstance(error, SteadyError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return SteadyError("shutting_down", "It was interrupted.", {"step": operation.current})
    logger.error("operation %d (%s) failed", operation.id, operation.kind, exc_info=error)
    return SteadyError("internal", f"It failed at “{operation.current}”.", {"step": operation.current})
