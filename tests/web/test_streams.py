"""Logs, requests and events: past and following, in every form."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from starlette.types import Message

from steadyd.errors import SteadyError
from steadyd.feed import SUBSCRIBER_QUEUE_MAX
from steadyd.records.requests import Request
from steadyd.web.streams import parse_since
from tests.web.conftest import NOISY, Stage, Web, code

LINE_SECONDS_MAX = 5.0


def asked(number: int, path: str = "/") -> Request:
    return Request(0, 1_700_000_000.0 + number, f"r{number}", "GET", path, 200, "", "192.0.2.1", 1, 2, 3, 4, 500)


class Follower:
    """A client that reads an endless answer straight from the app: `bytes` until it `leaves`."""

    def __init__(self, stage: Stage, path: str, **headers: str) -> None:
        self.body = bytearray()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._leave = asyncio.Event()
        self._news = asyncio.Event()
        self._asked = False
        path, _, query = path.partition("?")
        named = {"authorization": f"Bearer {stage.operator_token}", **headers}
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()], "scheme": "http",
            "server": ("localhost", 8080), "root_path": "",
        }  # fmt: skip
        self.task = asyncio.create_task(stage.web(scope, self._receive, self._send))

    async def begun(self) -> None:
        async with asyncio.timeout(LINE_SECONDS_MAX):
            while not self.status:
                await self._news.wait()
                self._news.clear()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(LINE_SECONDS_MAX):
            while words not in self.body:
                await self._news.wait()
                self._news.clear()

    async def leave(self) -> None:
        self._leave.set()
        async with asyncio.timeout(LINE_SECONDS_MAX):
            await self.task

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        self.body += message.get("body", b"")
        self._news.set()


def test_past_logs_in_every_form(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        stage.rooms.logs.add(app.id, 1, "app", [b"\x1b]52;c;evil\x07 \xff", b"needle"])
        async with stage.client(stage.operator_token) as client:
            url = "/api/apps/hello/logs"
            text = (await client.get(url)).text
            assert "v1 | up and running\n" in text
            assert "\x1b" not in text
            assert "\\x1b]52;c;evil\\x07" in text
            lines = [
                json.loads(line)
                for line in (await client.get(url, headers={"accept": "application/x-ndjson"})).text.splitlines()
            ]
            assert {"id", "at", "version", "source", "text"} == set(lines[0])
            assert lines[-2]["text"] == "\x1b]52;c;evil\x07 \ufffd"
            whole = (await client.get(url, headers={"accept": "application/json"})).json()
            assert whole["logs"] == lines
            events = (await client.get(url, headers={"accept": "text/event-stream"})).text
            assert events.count("event: log\n") == len(lines)
            assert (await client.get(f"{url}?tail=1")).text.count("\n") == 1
            assert (await client.get(f"{url}?tail=0")).text == ""
            assert (await client.get(f"{url}?q=needle")).text.count("\n") == 1
            assert (await client.get(f"{url}?since=2999-01-01T00:00:00Z")).text == ""
            for wrong in ("tail=-1", "tail=x", "tail=99999999", "since=yesterday", "follow=perhaps", "q=" + "x" * 201):
                assert code(await client.get(f"{url}?{wrong}")) == "invalid"

    web(body)


def test_requests_and_events_likewise(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        await stage.settled()
        stage.rooms.requests.store(app.id, [asked(1, "/one"), asked(2, "/two"), asked(3, "/three")])
        async with stage.client(stage.operator_token) as client:
            text = (await client.get("/api/apps/hello/requests")).text
            assert text.splitlines()[0].endswith("GET /one 200 0.5 ms 192.0.2.1")
            found = (
                await client.get("/api/apps/hello/requests?q=/t&tail=1", headers={"accept": "application/json"})
            ).json()
            assert [(item["path"], item["total_us"]) for item in found["requests"]] == [("/three", 500)]
            late = await client.get("/api/apps/hello/requests?since=1700000002.5")
            assert late.text.count("\n") == 1
            events = (await client.get("/api/apps/hello/events", headers={"accept": "application/json"})).json()[
                "events"
            ]
            assert [event["kind"] for event in events] == ["create"]

    web(body)


@pytest.mark.parametrize("accept", ["text/plain", "application/x-ndjson", "text/event-stream", "application/json"])
def test_following_goes_on_until_the_client_leaves(web: Web, accept: str) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=NOISY)
        follower = Follower(stage, "/api/apps/hello/logs?follow=1", accept=accept)
        await follower.until(b"up and running")
        stage.rooms.logs.add(app.id, 1, "app", [b"more to say"])
        await follower.until(b"more to say")
        assert not follower.task.done()
        assert stage.rooms.logs.feed.listeners(app.id) == 1
        assert b"content-length" not in follower.headers
        await follower.leave()
        assert stage.rooms.logs.feed.listeners(app.id) == 0

    web(body)


def test_following_ends_when_the_daemon_does(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        follower = Follower(stage, "/api/apps/hello/events?follow=1")
        await follower.begun()
        stage.rooms.fleet.events.close()
        async with asyncio.timeout(LINE_SECONDS_MAX):
            await follower.task

    web(body)


def test_following_filters_too(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        follower = Follower(stage, "/api/apps/hello/logs?follow=1&tail=0&q=wanted")
        await follower.begun()
        stage.rooms.logs.add(app.id, 1, "app", [b"other", b"wanted one", b"other"])
        await follower.until(b"wanted one\n")
        assert b"other" not in follower.body
        await follower.leave()

    web(body)


def test_a_head_of_a_following_call_ends_at_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            answer = await client.head("/api/apps/hello/logs?follow=1")
        assert (answer.status_code, answer.content) == (200, b"")

    web(body)


def test_a_reader_that_is_too_slow_is_told_what_it_missed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        follower = Follower(stage, "/api/apps/hello/requests?follow=1", accept="application/x-ndjson")
        await follower.begun()
        for number in range(SUBSCRIBER_QUEUE_MAX + 10):  # all in one turn of the loop: it cannot read between
            stage.rooms.requests.feed.publish(app.id, asked(number))
        await follower.until(b'{"missed":10}\n')
        await follower.leave()

    web(body)


def test_too_many_listeners_are_refused(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        for _ in range(256):
            stage.rooms.logs.feed.subscribe(app.id)
        async with stage.client(stage.operator_token) as client:
            refused = await client.get("/api/apps/hello/logs?follow=1")
        assert (refused.status_code, code(refused)) == (503, "overloaded")
        assert "retry-after" in refused.headers

    web(body)


def test_since_is_a_moment() -> None:
    assert parse_since("") is None
    assert parse_since("1700000000.5") == 1_700_000_000.5
    for text in (
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20+00:00",
        "2023-11-14T23:13:20 01:00",
    ):
        assert parse_since(text) == 1_700_000_000.0
    for text in ("soon", "nan", "inf", "-1", "1e20", "99999-01-01", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(SteadyError):
            parse_since(text)
    assert parse_since(str(time.time())) is not None
