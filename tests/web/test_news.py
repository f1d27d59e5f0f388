"""What is told live: everything once, and what a slow reader missed is counted and can be read."""

from __future__ import annotations

import json
from typing import Any

from steadyd.model import App
from steadyd.runner.logparts import Parts, Place, Wish, parse_place
from steadyd.web import news
from steadyd.web.news import Asked, Happenings, Log
from tests.web.conftest import Stage, Web
from tests.web.test_streams import asked


def told(chunk: bytes) -> dict[str, Any]:
    return dict(json.loads(chunk.partition(b"data: ")[2])) if chunk else {}


async def write(stage: Stage, app: App, count: int) -> None:
    for number in range(0, count, 100):
        stage.rooms.logs.add(app.id, 1, "app", [b"%06d " % n + b"x" * 2_000 for n in range(number, number + 100)])
        await stage.rooms.logs.flush()


def test_a_flood_is_counted_and_what_is_missed_can_be_paged(web: Web) -> None:
    """Past LAG_BYTES_MAX the reader is brought to the end; no line is neither told nor named."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        stage.rooms.logs._bytes_max = 100 << 20
        source = Log(stage.rooms, app, None, Wish())
        await source.news()
        written = news.LAG_BYTES_MAX // 2_000 // 100 * 100 + 200
        await write(stage, app, written)
        heard = told(await source.news())
        assert (heard["missed"] + len(heard["lines"]), heard["removed"]) == (written, False)
        since = parse_place(heard["missed_from"])
        assert since is not None

        def missed(parts: Parts) -> int:
            first = parse_place(heard["lines"][0]["id"])
            assert first is not None
            assert since is not None
            return parts.count(since, first)

        assert await stage.rooms.logs.read(app.id, missed) == heard["missed"]
        assert not source.behind
        assert await source.news() == b""
        source.subscription.close()

    web(body)


def test_lines_that_the_log_let_go_of_are_named(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        source = Log(stage.rooms, app, None, Wish())
        await source.news()
        await write(stage, app, 2_000)
        assert told(await source.news())["removed"]
        source.subscription.close()

    web(body)


def test_at_most_so_many_lines_at_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        source = Log(stage.rooms, app, Place(1, 0), Wish(b"number "))
        await source.news()
        stage.rooms.logs.add(app.id, 1, "app", [b"number %d" % n for n in range(news.LINES_AT_ONCE_MAX + 5)])
        first, behind = told(await source.news()), source.behind
        second = told(await source.news())
        assert (len(first["lines"]), behind) == (news.LINES_AT_ONCE_MAX, True)
        assert [line["text"] for line in second["lines"]] == [f"number {news.LINES_AT_ONCE_MAX + n}" for n in range(5)]
        assert source.cursor == f"log={second['next']}"
        source.subscription.close()

    web(body)


def test_requests_go_on_after_the_last_and_too_many_are_counted(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app, requests = await stage.app("hello"), stage.rooms.requests
        requests.store(app.id, [asked(n) for n in range(3)])
        source = Asked(stage.rooms, app, None)
        assert await source.news() == b""
        assert source.cursor == "requests=3"
        requests.store(app.id, [asked(n) for n in range(news.REQUESTS_AT_ONCE_MAX + 4)])
        heard = told(await source.news())
        assert (len(heard["requests"]), heard["missed"]) == (news.REQUESTS_AT_ONCE_MAX, 4)
        assert await source.news() == b""
        source.subscription.close()

    web(body)


def test_events_are_told_without_steps_if_nobody_wants_them(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        both = frozenset({"event"}), frozenset({"operation"})
        events, steps = (Happenings(stage.rooms, app, kinds) for kinds in both)
        await stage.rooms.controller.stop(stage.operator, app, hold=False)
        await stage.rooms.controller.start(stage.operator, app)
        heard = await events.news(), await steps.news()
        assert [b"event: event" in chunk for chunk in heard] == [True, False]
        assert [b"event: operation" in chunk for chunk in heard] == [False, True]
        assert b'"status":"done"' in heard[1]
        for source in (events, steps):
            source.subscription.close()

    web(body)
