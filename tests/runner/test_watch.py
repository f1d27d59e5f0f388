"""Conditions that wait for changes."""

from __future__ import annotations

import asyncio

from steadyd.runner.watch import Watch


def test_true_at_once_waits_for_nothing() -> None:
    asyncio.run(Watch().until(lambda: True))


def test_everyone_whose_condition_holds_goes_on_and_the_rest_waits() -> None:
    async def body() -> None:
        watch, value = Watch(), 0
        one = asyncio.ensure_future(watch.until(lambda: value >= 1))
        two = asyncio.ensure_future(watch.until(lambda: value >= 2))
        await asyncio.sleep(0)
        value = 1
        watch.changed()
        await asyncio.wait_for(one, 1)
        await asyncio.sleep(0)
        assert not two.done()
        value = 2
        watch.changed()
        await asyncio.wait_for(two, 1)

    asyncio.run(body())


def test_a_waiter_that_was_cancelled_disturbs_nobody() -> None:
    async def body() -> None:
        watch = Watch()
        gone = asyncio.ensure_future(watch.until(lambda: False))
        await asyncio.sleep(0)
        gone.cancel()
        watch.changed()
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()

    asyncio.run(body())
