"""Live news for whoever listens: log lines, requests, events. Publishing never waits; a slow listener is told what
it missed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from steadyd.errors import SteadyError

T = TypeVar("T")

SUBSCRIBER_QUEUE_MAX = 4_096
"""Items a listener may lag behind before the oldest are dropped for it."""
SUBSCRIBERS_PER_KEY_MAX = 256


class Subscription(Generic[T]):
    """One listener's bounded queue. Iterate it; `missed` counts what was dropped since it was last read."""

    def __init__(self, feed: Feed[T], key: str) -> None:
        self._feed = feed
        self._key = key
        self._items: deque[T] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self.missed = 0

    def push(self, item: T) -> None:
        if len(self._items) >= SUBSCRIBER_QUEUE_MAX:
            self._items.popleft()
            self.missed += 1
        self._items.append(item)
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._items.popleft()

    async def ready(self) -> bool:
        """Wait until there is something to take; false once there will be no more."""
        while not self._items and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        return bool(self._items)

    def take(self, count: int = SUBSCRIBER_QUEUE_MAX) -> list[T]:
        """Up to `count` items that are there already; waits for none."""
        return [self._items.popleft() for _ in range(min(count, len(self._items)))]

    def close(self) -> None:
        """Stop listening; an iteration under way ends."""
        self._closed = True
        self._wake.set()
        self._feed.leave(self._key, self)


class Feed(Generic[T]):
    """Subscriptions by key (an app's id). Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription[T]]] = {}

    def publish(self, key: str, item: T) -> None:
        """Give `item` to everyone who listens to `key`."""
        for subscription in self._subscriptions.get(key, ()):
            subscription.push(item)

    def listeners(self, key: str) -> int:
        return len(self._subscriptions.get(key, ()))

    def subscribe(self, key: str) -> Subscription[T]:
        """Listen to `key` from now on; call `close` when done.

        Raises:
            SteadyError: `overloaded` past SUBSCRIBERS_PER_KEY_MAX listeners.
        """
        listening = self._subscriptions.setdefault(key, [])
        if len(listening) >= SUBSCRIBERS_PER_KEY_MAX:
            raise SteadyError("overloaded", f"{SUBSCRIBERS_PER_KEY_MAX} listeners follow this already.", retry_after=5)
        subscription = Subscription(self, key)
        listening.append(subscription)
        return subscription

    def leave(self, key: str, subscription: Subscription[T]) -> None:
        listening = self._subscriptions.get(key, [])
        if subscription in listening:
            listening.remove(subscription)
        if not listening:
            self._subscriptions.pop(key, None)

    def close(self) -> None:
        """End every subscription (the daemon stops)."""
        for listening in list(self._subscriptions.values()):
            for subscription in list(listening):
                subscription.close()
