"""A request built by hand: what may be asked, and what is told of the answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import tries as room
from steadyd.runner.engine import Engine
from steadyd.runner.errand import Told
from steadyd.runner.previews import Wish
from steadyd.runner.tries import (
    HEADER_CHARACTERS_MAX,
    HEADERS_MAX,
    LINES_MAX,
    PATH_CHARACTERS_MAX,
    Asking,
    Tries,
    check,
    content,
)
from tests.runner.conftest import World, run, world

APP = """
export default {
  async fetch(request: Request) {
    const { pathname } = new URL(request.url);
    console.log("asked", pathname);
    if (pathname === "/many") for (let at = 0; at < 500; at++) console.log("line", at);
    if (pathname === "/never") await new Promise(() => {});
    if (pathname === "/die") process.exit(3);
    if (pathname === "/open") return new Response(new ReadableStream({ start: (sink) => sink.enqueue("first") }));
    if (pathname === "/long") return new Response("x".repeat(4 << 20));
    const body = await request.text();
    const headers = Object.fromEntries(request.headers);
    return Response.json({ method: request.method, url: request.url, headers, body }, { headers: { "x-own": "yes" } });
  },
};
"""


class Asker:
    """Tries of one world's app, and what the request log was told."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.told: list[Told] = []
        self.tries = Tries(here.fleet, here.workshop.previews, self.told.append)

    async def ask(self, **asked: Any) -> room.Tried:
        return await self.tries.ask(await self.here.app(), Asking(**asked))


@pytest.mark.parametrize(
    ("asking", "field"),
    [
        (Asking("CONNECT"), "method"),
        (Asking("get"), "method"),
        (Asking(path="x"), "path"),
        (Asking(path="/a b"), "path"),
        (Asking(path="/a\r\nHost: other"), "path"),
        (Asking(path="/#a"), "path"),
        (Asking(path="/é"), "path"),
        (Asking(path="http://other/"), "path"),
        (Asking(path="/" + "a" * PATH_CHARACTERS_MAX), "path"),
        (Asking(headers={"Host": "other"}), "headers"),
        (Asking(headers={"Connection": "x"}), "headers"),
        (Asking(headers={"transfer-encoding": "chunked"}), "headers"),
        (Asking(headers={"Steady-Cron": "x"}), "headers"),
        (Asking(headers={"X-Forwarded-For": "x"}), "headers"),
        (Asking(headers={"a b": "x"}), "headers"),
        (Asking(headers={"": "x"}), "headers"),
        (Asking(headers={"a": "x\r\nb: y"}), "headers"),
        (Asking(headers={"a": "☃"}), "headers"),
        (Asking(headers={f"a{number}": "" for number in range(HEADERS_MAX + 1)}), "headers"),
        (Asking(headers={"a": "x" * HEADER_CHARACTERS_MAX}), "headers"),
    ],
)
def test_what_no_visitor_could_send_is_refused(asking: Asking, field: str) -> None:
    with pytest.raises(SteadyError) as refused:
        check(asking)
    assert (refused.value.code, refused.value.details) == ("invalid", {"field": field})


def test_what_is_sent_is_what_a_visitor_would_send() -> None:
    sent = content(Asking("POST", "/a?b=1", {"accept": "text/html", "X-é": " é "}, b"hi"), "https://a.test", "r1")
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    assert (lines[0], body) == ("POST /a?b=1 HTTP/1.1", b"hi")
    assert {"Host: a.test", "accept: text/html", "X-é: é", "Content-Length: 2", "X-Forwarded-Proto: https"} <= set(
        lines
    )
    assert "Accept: */*" not in lines
    assert b"Content-Length" not in content(Asking(), "http://a.test", "r1")


def test_a_sleeping_app_wakes_and_all_is_told(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(APP)
            asker, by, app = Asker(here), await here.operator(), await here.app()
            await here.controller.stop(by, app, hold=False)
            tried = await asker.ask(method="POST", path="/a?secret=1", headers={"x-one": "1"}, body=b"hi")
            assert (tried.status, tried.version, tried.truncated, tried.error) == (200, 1, False, None)
            assert ("x-own", "yes") in [(name.lower(), value) for name, value in tried.headers]
            for said in (b'"body":"hi"', b'"x-one":"1"', b"http://hello.localhost:8080/a?secret=1"):
                assert said in tried.body
            assert tried.start_ms == tried.gate_ms > 0
            assert tried.app_ms > 0
            assert [line.text for line in tried.lines][-1] == "asked /a"
            (told,) = asker.told
            assert (told.method, told.path, told.status, told.client) == ("POST", "/a", 200, "try")
            assert (told.request_id, told.app_id) == (tried.request_id, app.id)
            assert (await asker.ask()).start_ms is None
            await here.controller.stop(by, app, hold=True)
            held = await asker.ask()
            assert (held.status, held.error and held.error[0], held.body) == (503, "held", b"")

    run(body())


def test_an_answer_is_told_as_far_as_it_is_small_and_soon(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "OPEN_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(APP)
            asker = Asker(here)
            goes_on = await asker.ask(path="/open")
            assert (goes_on.status, goes_on.body, goes_on.truncated) == (200, b"first", True)
            long = await asker.ask(path="/long")
            assert (len(long.body), long.truncated) == (1 << 20, True)
            assert len((await asker.ask(path="/many")).lines) == LINES_MAX
            died = await asker.ask(path="/die")
            assert (died.status, died.error and died.error[0]) == (502, "app_died")
            monkeypatch.setattr(room, "TRY_SECONDS_MAX", 0.3)
            never = await asker.ask(path="/never")
            assert (never.status, never.error and never.error[0]) == (504, "app_timeout")
            assert [told.error for told in asker.told] == ["", "", "", "app_died", "app_timeout"]

    run(body())


def test_a_draft_is_asked_only_if_it_runs_and_in_no_log(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(APP)
            asker, app = Asker(here), await here.app()
            with pytest.raises(SteadyError, match="No draft of “hello” runs"):
                await asker.tries.ask_draft(app, Asking())
            draft = APP.replace("asked", "draft asked").encode()
            await here.workshop.previews.start(app, Wish({"index.ts": draft}, True))
            both = await asyncio.gather(asker.tries.ask_draft(app, Asking()), asker.ask())
            assert [[line.text for line in tried.lines if "asked" in line.text] for tried in both] == [
                ["draft asked /"],
                ["asked /"],
            ]
            assert len(asker.told) == 1

    run(body())
