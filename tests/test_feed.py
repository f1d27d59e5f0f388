from __future__ import annotations

import asyncio

import pytest

from steadyd.errors import SteadyError
from steadyd.feed import SUBSCRIBER_QUEUE_MAX, SUBSCRIBERS_PER_KEY_MAX, Feed


def test_every_listener_of_a_key_hears_what_is_published() -> None:
    async def body() -> None:
        feed: Feed[str] = Feed()
        first, second, other = feed.subscribe("a"), feed.subscribe("a"), feed.subscribe("b")
        feed.publish("a", "news")
        assert [await anext(first), await anext(second)] == ["news", "news"]
        feed.publish("b", "else")
        assert await anext(other) == "else"

    asyncio.run(body())


def test_a_slow_listener_loses_the_oldest_and_is_told_how_many() -> None:
    async def body() -> None:
        feed: Feed[int] = Feed()
        slow = feed.subscribe("a")
        for number in range(SUBSCRIBER_QUEUE_MAX + 3):
            feed.publish("a", number)
        assert (slow.missed, await anext(slow)) == (3, 3)

    asyncio.run(body())


def test_listeners_are_counted_and_limited() -> None:
    async def body() -> None:
        feed: Feed[int] = Feed()
        listening = [feed.subscribe("a") for _ in range(SUBSCRIBERS_PER_KEY_MAX)]
        with pytest.raises(SteadyError) as caught:
            feed.subscribe("a")
        assert (caught.value.code, caught.value.retry_after) == ("overloaded", 5)
        listening[0].close()
        assert feed.listeners("a") == SUBSCRIBERS_PER_KEY_MAX - 1
        feed.subscribe("a")

    asyncio.run(body())


def test_closing_ends_an_iteration_after_what_was_published() -> None:
    async def body() -> None:
        feed: Feed[int] = Feed()
        subscription = feed.subscribe("a")
        feed.publish("a", 1)
        reader = asyncio.create_task(_all(subscription))
        feed.close()
        async with asyncio.timeout(5):
            assert await reader == [1]
        assert feed.listeners("a") == 0

    async def _all(subscription: object) -> list[int]:
        return [item async for item in subscription]  # type: ignore[attr-defined]

    asyncio.run(body())


def test_what_is_there_can_be_taken_without_waiting() -> None:
    feed: Feed[int] = Feed()
    subscription = feed.subscribe("app")
    for item in range(5):
        feed.publish("app", item)
    assert subscription.take(2) == [0, 1]
    assert subscription.take(9) == [2, 3, 4]
    assert subscription.take(9) == []


def test_a_listener_that_reads_elsewhere_is_only_woken() -> None:
    async def body() -> None:
        feed: Feed[int] = Feed()
        listener = feed.subscribe("a")
        feed.publish("a", 1)
        feed.publish("a", 2)
        assert await listener.ready()
        assert listener.take() == [1, 2]
        waiting = asyncio.ensure_future(listener.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        feed.close()
        assert await waiting is False

    asyncio.run(body())
