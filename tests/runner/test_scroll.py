"""The newest lines, in memory, and as they come."""

from __future__ import annotations

import asyncio

from steadyd.feed import Feed
from steadyd.runner.logs import LogLine
from steadyd.runner.scroll import BYTES_MAX, LINES_MAX, Scroll


def test_what_is_said_is_kept_and_heard() -> None:
    async def body() -> None:
        feed: Feed[LogLine] = Feed()
        heard = feed.subscribe("a")
        scroll = Scroll(feed, "a")
        scroll.add("a", 0, "app", [b"one", b"two \xff"])
        scroll.say("a", 0, "three\nfour")
        texts = [line.text for line in scroll.tail(10)]
        assert texts == ["one", "two �", "three", "four"]
        assert [line.text for line in heard.take(10)] == texts
        assert [line.source for line in scroll.tail(3)] == ["app", "steadyd", "steadyd"]
        assert [line.text for line in scroll.tail(10, q="o")] == ["one", "two �", "four"]
        assert scroll.tail(10, since=scroll.tail(1)[0].at + 1) == scroll.tail(0) == []

    asyncio.run(body())


def test_so_many_lines_and_bytes_are_kept() -> None:
    scroll = Scroll(Feed(), "a")
    scroll.add("a", 0, "app", [b"%d" % number for number in range(LINES_MAX + 5)])
    assert (len(scroll.tail(LINES_MAX * 2)), scroll.tail(LINES_MAX * 2)[0].text) == (LINES_MAX, "5")
    long = b"x" * 16_000
    scroll.add("a", 0, "app", [long] * 100)
    assert sum(len(line.text) for line in scroll.tail(LINES_MAX)) <= BYTES_MAX
    assert len(scroll.tail(LINES_MAX)) == BYTES_MAX // 16_000
