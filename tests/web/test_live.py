"""The app page's live stream: log, requests and state in one connection."""

from __future__ import annotations

import asyncio

from steadyd.feed import SUBSCRIBER_QUEUE_MAX
from tests.web.conftest import NOISY, Stage, Web
from tests.web.test_streams import Follower, asked


def test_log_requests_and_state_in_one_stream(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        follower = Follower(stage, "/apps/hello/live?since=1")
        await follower.until(b'event: state\ndata: {"state":"running"')
        await follower.until(b"up and running")
        stage.rooms.logs.add(app.id, 1, "app", [b"fresh line"])
        stage.rooms.requests.feed.publish(app.id, asked(7, "/fresh"))
        await follower.until(b"fresh line")
        await follower.until(b'"path":"/fresh"')
        await stage.rooms.controller.stop(stage.operator, app, hold=True)
        await follower.until(b'data: {"state":"held"')
        assert follower.headers[b"content-type"].startswith(b"text/event-stream")
        await follower.leave()
        assert stage.rooms.logs.feed.listeners(app.id) == 0
        assert stage.rooms.requests.feed.listeners(app.id) == 0

    web(body)


def test_it_goes_on_where_a_broken_one_ended(web: Web) -> None:
    """By `Last-Event-ID`, as browsers send it: what was shown is not shown again."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        shown = (await stage.rooms.logs.tail(app.id, 100))[-1].at
        await asyncio.sleep(0.002)
        stage.rooms.logs.add(app.id, 1, "app", [b"while away"])
        follower = Follower(stage, "/apps/hello/live?since=1", **{"last-event-id": f"{shown:.6f}"})
        await follower.until(b"while away")
        assert b"up and running" not in follower.body
        await follower.leave()

    web(body)


def test_a_flood_is_paced_and_counted(web: Web) -> None:
    """A page gets BATCH_MAX lines at once and PACE_SECONDS to draw them; what is dropped meanwhile is told."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        follower = Follower(stage, "/apps/hello/live")
        await follower.until(b"event: state")
        stage.rooms.logs.add(app.id, 1, "app", [b"line %d." % number for number in range(SUBSCRIBER_QUEUE_MAX + 10)])
        await follower.until(b'event: missed\ndata: {"missed":10}')
        await follower.until(b"line 300.")
        assert b"line 4000." not in follower.body
        await follower.leave()

    web(body)


def test_only_the_owner_may_look(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(await stage.guest()) as client:
            assert (await client.get("/apps/hello/live")).status_code == 404
            assert (await client.get("/apps/absent/live")).status_code == 404

    web(body)


def test_it_ends_with_the_daemon(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        follower = Follower(stage, "/apps/hello/live")
        await follower.until(b"event: state")
        stage.rooms.logs.feed.close()
        stage.rooms.requests.feed.close()
        async with asyncio.timeout(5):
            await follower.task

    web(body)
