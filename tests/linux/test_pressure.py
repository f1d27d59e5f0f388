"""When a group starves, as a judgement on readings and as a watch on the loop. Real hogs are in test_cgroup.py."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from steadyd.linux.pressure import STARVING_SECONDS, STEP_SECONDS, Reading, Watch, starving, tight

MIB = 1 << 20
CALM = Reading(
    at=0, limit_bytes=48 * MIB, held_bytes=45 * MIB, cache_bytes=2 * MIB, kills=0, major_faults=0, refaults=0
)


def after(reading: Reading, major_faults: int, refaults: int) -> Reading:
    return replace(
        reading,
        at=reading.at + STEP_SECONDS,
        major_faults=reading.major_faults + major_faults,
        refaults=reading.refaults + refaults,
    )


THRASHING = after(CALM, 60, 25_000)
"""A quarter of a second of the Bun in 48 MiB."""


def test_a_program_that_waits_for_its_own_code_is_tight() -> None:
    assert tight(CALM, THRASHING)


def test_reading_files_is_not() -> None:
    assert not tight(CALM, after(CALM, 0, 190_000)), "by read(2), nobody waits for a page"
    assert not tight(CALM, after(CALM, 3_000, 600)), "nothing comes back that was there before"
    mapped = replace(CALM, held_bytes=4 * MIB, cache_bytes=44 * MIB)
    assert not tight(mapped, after(mapped, 60, 190_000)), "the cache is most of what it has"


def test_without_a_limit_nothing_is_tight() -> None:
    free = replace(CALM, limit_bytes=0)
    assert not tight(free, after(free, 60, 25_000))


def test_it_must_last() -> None:
    readings = [CALM]
    while readings[-1].at < STARVING_SECONDS:
        assert not starving(0, readings)
        readings.append(after(readings[-1], 60, 25_000))
    assert starving(0, readings)
    assert not starving(0, [*readings[:-1], after(readings[-2], 0, 0)])


def test_a_kill_needs_no_more_proof() -> None:
    assert starving(0, [replace(CALM, kills=1)])
    assert not starving(1, [replace(CALM, kills=1)])


class Bell:
    """An alarm that is rung by hand."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.closed = False

    def ring(self) -> None:
        os.eventfd_write(self.descriptor, 1)

    def clear(self) -> None:
        os.eventfd_read(self.descriptor)

    def close(self) -> None:
        self.closed = True
        os.close(self.descriptor)


class Told:
    """A watch over readings that are given to it one after the other, the last for ever."""

    def __init__(self, *readings: Reading | FileNotFoundError) -> None:
        self.bell = Bell()
        self.looks = 0
        self.calls = 0
        self._looked = asyncio.Event()
        self._readings = list(readings)
        self.watch = Watch(self.bell, self._read, self._starve)

    def _starve(self) -> None:
        self.calls += 1

    def _read(self) -> Reading:
        self.looks += 1
        self._looked.set()
        reading = self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]
        if isinstance(reading, FileNotFoundError):
            raise reading
        return reading

    async def after_looks(self, number: int) -> None:
        async with asyncio.timeout(5):
            while self.looks < number:
                self._looked.clear()
                await self._looked.wait()


class TestWatch:
    def test_it_looks_only_when_the_alarm_rings_and_stops_when_it_is_calm(self) -> None:
        async def scenario() -> None:
            told = Told(CALM, CALM, after(CALM, 0, 0))
            await asyncio.sleep(STEP_SECONDS * 1.5)
            assert told.looks == 1, "to know the kills before"
            told.bell.ring()
            await told.after_looks(3)
            await asyncio.sleep(STEP_SECONDS * 1.5)
            assert told.looks == 3
            told.bell.ring()
            await told.after_looks(4)
            told.watch.close()
            assert told.calls == 0

        asyncio.run(scenario())

    def test_it_tells_once_and_lets_go(self) -> None:
        async def scenario() -> None:
            told = Told(CALM, replace(CALM, kills=1))
            told.bell.ring()
            await told.after_looks(2)
            assert (told.calls, told.bell.closed) == (1, True)
            told.watch.close()

        asyncio.run(scenario())

    def test_it_tells_when_thrashing_lasts(self) -> None:
        async def scenario() -> None:
            story = [CALM, CALM]
            while story[-1].at < STARVING_SECONDS:
                story.append(after(story[-1], 60, 25_000))
            told = Told(*story)
            told.bell.ring()
            await told.after_looks(len(story))
            assert told.calls == 1

        asyncio.run(scenario())

    def test_a_group_that_is_gone_starves_no_more(self) -> None:
        async def scenario() -> None:
            told = Told(CALM, FileNotFoundError())
            told.bell.ring()
            await told.after_looks(2)
            assert (told.calls, told.bell.closed) == (0, True)

        asyncio.run(scenario())

    def test_nothing_is_told_after_it_was_closed(self) -> None:
        async def scenario() -> None:
            told = Told(CALM, THRASHING)
            told.bell.ring()
            await told.after_looks(2)
            told.watch.close()
            told.watch.close()
            await asyncio.sleep(STEP_SECONDS * 1.5)
            assert (told.looks, told.calls) == (2, 0)

        asyncio.run(scenario())
