"""An operation is begun, stepped, committed and finished in the journal, in that order, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import App, Event, Principal
from steadyd.records.apps import holding
from steadyd.records.library import Library, open_library
from steadyd.records.schema import STEADY
from steadyd.runner import operation as operation_module
from steadyd.runner.operation import OPERATIONS_PER_APP_MAX, Operations, begun
from steadyd.store import Database

DEADLINE_SECONDS = 10.0


class Desk:
    """Operations over a real steady.db, with an app, its owner, and what was told."""

    def __init__(self, library: Library, app: App, owner: Principal) -> None:
        self.library, self.app, self.owner = library, app, owner
        self.told: list[Event] = []
        self.operations = Operations(library.journal, lambda app_id, event: self.told.append(event))

    async def outcome(self) -> tuple[str, str]:
        """Of the newest operation: its outcome, and the code of its error."""
        found = (await self.library.journal.operations(self.app.id))[0]
        return found.outcome, (found.error or {}).get("code", "")


Body = Callable[[Desk], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Body], None]:
    async def go(body: Body) -> None:
        database = Database(tmp_path / "steady.db", STEADY)
        try:
            library = open_library(database)
            owner = await library.people.operator(1.0)
            async with asyncio.timeout(DEADLINE_SECONDS):
                await body(Desk(library, await library.apps.create("hello", owner, False, 1.0), owner))
        finally:
            database.close()

    return lambda body: asyncio.run(go(body))


def test_a_step_is_in_the_journal_before_it_begins_and_is_told(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        async with desk.operations.open(desk.app, "restart", desk.owner) as work:
            async with work.step("drain"):
                assert [found.step for found in await desk.library.journal.unfinished()] == ["drain"]
            async with work.step("switch"):
                (found,) = await desk.library.journal.unfinished()
                assert ([step["name"] for step in found.steps], found.step) == (["drain"], "switch")
        ended = (await desk.library.journal.operations(desk.app.id))[0]
        assert [step["name"] for step in ended.steps] == ["drain", "switch"]
        assert all(step["ok"] and step["ms"] >= 0 for step in ended.steps)
        assert await desk.outcome() == ("done", "")
        told = [(event.details["step"], event.details["state"]) for event in desk.told]
        assert told == [("drain", "begun"), ("drain", "done"), ("switch", "begun"), ("switch", "done"), ("", "ended")]

    run(body)


def test_what_fails_is_recorded_with_its_reason(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        with pytest.raises(SteadyError, match="broken"):
            async with desk.operations.open(desk.app, "deploy", desk.owner) as work, work.step("trial"):
                raise SteadyError("deploy_failed", "It is broken.")
        assert await desk.outcome() == ("failed", "deploy_failed")
        assert [event.details["state"] for event in desk.told] == ["begun", "failed", "ended"]
        with pytest.raises(ZeroDivisionError):
            async with desk.operations.open(desk.app, "deploy", desk.owner):
                raise ZeroDivisionError
        assert await desk.outcome() == ("failed", "internal")

    run(body)


def test_commit_makes_the_fact_and_the_operation_true_together(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        async with desk.operations.open(desk.app, "stop", desk.owner) as work:
            await work.commit(holding(desk.app.id, True))
            (found,) = await desk.library.journal.unfinished()
            app = await desk.library.apps.by_id(desk.app.id)
            assert app is not None
            assert (found.committed, app.held) == (True, True)

    run(body)


def test_it_can_be_cancelled_until_it_holds_requests(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def work(cancellable: bool) -> str:
            async with desk.operations.open(desk.app, "deploy", desk.owner) as work:
                work.cancellable = cancellable
                async with work.step("trial"):
                    inside.set()
                    await go_on.wait()
            return "done"

        task = asyncio.create_task(work(True))
        await inside.wait()
        (open_one,) = await desk.library.journal.unfinished()
        assert await desk.operations.cancel(open_one.id)
        with pytest.raises(SteadyError) as caught:
            await task
        assert (caught.value.code, await desk.outcome()) == ("cancelled", ("cancelled", "cancelled"))
        assert not await desk.operations.cancel(open_one.id), "it is over"

        inside.clear()
        task = asyncio.create_task(work(False))
        await inside.wait()
        (open_one,) = await desk.library.journal.unfinished()
        assert not await desk.operations.cancel(open_one.id)
        go_on.set()
        assert (await task, await desk.outcome()) == ("done", ("done", ""))

    run(body)


def test_only_so_many_wait_for_their_turn(run: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    assert OPERATIONS_PER_APP_MAX >= 1
    monkeypatch.setattr(operation_module, "OPERATIONS_PER_APP_MAX", 2)

    async def body(desk: Desk) -> None:
        async with desk.operations.open(desk.app, "a", desk.owner), desk.operations.open(desk.app, "b", desk.owner):
            with pytest.raises(SteadyError) as caught:
                async with desk.operations.open(desk.app, "c", desk.owner):
                    raise AssertionError
            assert (caught.value.code, caught.value.retry_after) == ("overloaded", 2)
        async with desk.operations.open(desk.app, "d", desk.owner):
            pass

    run(body)


def test_who_asked_may_go_away_and_the_end_is_waited_for(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            async with desk.operations.open(desk.app, "deploy", desk.owner):
                inside.set()
                await go_on.wait()

        asked = asyncio.create_task(desk.operations.to_the_end(work()))
        await inside.wait()
        asked.cancel()
        await asyncio.wait([asked])
        go_on.set()
        await desk.operations.close()
        assert await desk.outcome() == ("done", "")

    run(body)


def test_whoever_wants_to_know_is_told_the_id_at_once(run: Callable[[Body], None]) -> None:
    async def body(desk: Desk) -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        before = begun.set(future)
        async with desk.operations.open(desk.app, "deploy", desk.owner) as work:
            assert future.result() == work.id
        begun.reset(before)

    run(body)
