"""The app page's live stream: log, requests, operations and state in one connection."""

from __future__ import annotations

import asyncio

from tests.web.conftest import NOISY, Stage, Web, code
from tests.web.test_streams import Follower, asked


def test_log_requests_and_state_in_one_stream(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        follower = Follower(stage, "/apps/hello/live?log=1-0")
        await follower.until(b'event: state\ndata: {"state":"running"')
        await follower.until(b"up and running")
        stage.rooms.logs.add(app.id, 1, "app", [b"fresh line"])
        for row in stage.rooms.requests.store(app.id, [asked(7, "/fresh")]):
            stage.rooms.requests.feed.publish(app.id, row)
        await follower.until(b"fresh line")
        await follower.until(b'"path":"/fresh"')
        await stage.rooms.controller.stop(stage.operator, app, hold=True)
        await follower.until(b'data: {"state":"held"')
        assert follower.headers[b"content-type"].startswith(b"text/event-stream")
        await follower.leave()
        for feed in (stage.rooms.logs.feed, stage.rooms.requests.feed, stage.rooms.fleet.events):
            assert feed.listeners(app.id) == 0

    web(body)


def test_it_goes_on_where_a_broken_one_ended(web: Web) -> None:
    """By `Last-Event-ID`, as browsers send it: to the line, though all of them have one time."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        first = Follower(stage, "/apps/hello/live")
        await first.until(b"id: log=")
        stage.rooms.logs.add(app.id, 1, "app", [b"seen"])
        await first.until(b"seen")
        await first.leave()
        at = first.body.rpartition(b"id: ")[2].partition(b"\n")[0].decode()
        stage.rooms.logs.add(app.id, 1, "app", [b"while away"])
        second = Follower(stage, "/apps/hello/live?log=1-0", **{"last-event-id": at})
        await second.until(b"while away")
        assert b"seen" not in second.body
        await second.leave()

    web(body)


def test_only_what_is_wanted_is_told(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        follower = Follower(stage, "/apps/hello/live?only=state,log&log=1-0&q=needle&source=app")
        stage.rooms.logs.say(app.id, 1, "needle of the platform's")
        stage.rooms.logs.add(app.id, 1, "app", [b"hay", b"needle"])
        await follower.until(b'"text":"needle"')
        assert b"hay" not in follower.body
        assert b"platform" not in follower.body
        assert stage.rooms.requests.feed.listeners(app.id) == 0
        await follower.leave()
        async with stage.client(stage.operator_token) as client:
            for wrong in ("log=1", "requests=-1", "source=other", "version=x"):
                assert code(await client.get(f"/apps/hello/live?{wrong}")) == "invalid"

    web(body)


def test_the_steps_of_a_deploy_are_told_as_they_end(web: Web) -> None:
    """Each as the API shows the operation then; the last one says how it came out."""

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        follower = Follower(stage, "/apps/hello/live?only=operation")
        await follower.until(b"event: state")
        async with stage.client(stage.operator_token) as client:
            assert (await client.post("/api/apps/hello/deploys", json={"files": {"index.ts": "("}})).status_code == 422
            await follower.until(b'"status":"failed"')
            assert (await client.post("/api/apps/hello/restart", json={})).status_code == 200
        await follower.until(b'"kind":"restart","by":"operator","status":"done"')
        assert follower.body.count(b"event: operation") >= 2
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
