from __future__ import annotations

import asyncio
from functools import partial

from steadyd.backup.turns import Turns
from tests.runner.conftest import run, until


async def note(done: list[str], word: str) -> None:
    done.append(word)


async def for_ever() -> None:
    await asyncio.sleep(3600)


def test_only_what_was_said_last_is_done_later() -> None:
    async def body() -> None:
        turns, done = Turns(), list[str]()
        turns.later("a", 60.0, partial(note, done, "first"))
        turns.later("a", 0.0, partial(note, done, "second"))
        turns.later("b", 0.0, partial(note, done, "other"))
        assert turns.waits("a")
        await until(lambda: sorted(done) == ["other", "second"])
        await until(lambda: not turns.busy("a"))

    run(body())


def test_one_thing_at_a_time() -> None:
    async def body() -> None:
        turns, done, gate = Turns(), list[str](), asyncio.Event()

        async def slow() -> None:
            await gate.wait()
            done.append("slow")

        turns.now("a", slow)
        turns.now("a", partial(note, done, "not at all"))
        turns.later("a", 0.0, partial(note, done, "after"))
        await asyncio.sleep(0.01)
        assert done == []
        gate.set()
        await until(lambda: done == ["slow", "after"])

    run(body())


def test_what_is_due_does_not_wait_for_what_is_put_off() -> None:
    async def body() -> None:
        turns, done, gate = Turns(), list[str](), asyncio.Event()
        turns.later("a", 60.0, partial(note, done, "put off"))
        turns.at_once("a", gate.wait)  # type: ignore[arg-type]
        assert not turns.waits("a")
        turns.at_once("a", partial(note, done, "not at all"))
        gate.set()
        await until(lambda: not turns.busy("a"))
        assert done == []

    run(body())


def test_what_fails_stops_nothing() -> None:
    async def body() -> None:
        turns, done = Turns(), list[str]()

        async def fail() -> None:
            raise RuntimeError("no")

        turns.now("a", fail)
        await until(lambda: not turns.busy("a"))
        turns.now("a", partial(note, done, "next"))
        await until(lambda: done == ["next"])

    run(body())


def test_what_is_not_done_in_time_is_ended() -> None:
    async def body() -> None:
        turns, done = Turns(), list[str]()
        turns.later("a", 3600.0, partial(note, done, "at once"))
        turns.now("b", for_ever)
        turns.later("b", 3600.0, partial(note, done, "never"))
        await turns.drain(0.1)
        assert done == ["at once"]
        assert [turns.busy(key) for key in "ab"] == [False, False]

    run(body())
