"""An app's log, by the page and whole: over the API and on its page."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from steadyd.web import logpage
from steadyd.web.rooms import SEARCHES_AT_ONCE_MAX, SEARCHES_WAITING_MAX
from tests.web.conftest import Stage, Web, code

JSON = {"accept": "application/json"}


async def written(stage: Stage, count: int = 500) -> None:
    """A log of `count` numbered lines, many of which have one time."""
    app = await stage.app("hello")
    await stage.settled()
    for number in range(0, count, 100):
        stage.rooms.logs.add(app.id, 1, "app", [b"number %d." % n for n in range(number, number + 100)])


async def page(client: Any, query: str) -> dict[str, Any]:
    answer = await client.get(f"/api/apps/hello/logs?q=number&{query}", headers=JSON)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def numbers(page: dict[str, Any]) -> list[int]:
    return [int(line["text"].split()[1].rstrip(".")) for line in page["logs"]]


def test_pages_of_the_api_meet_without_loss_or_repetition(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await written(stage)
        async with stage.client(stage.operator_token) as client:
            found = await page(client, "tail=70")
            seen = numbers(found)
            while found["older"] and len(seen) < 500:
                found = await page(client, f"tail=70&before={found['first']}")
                seen = numbers(found) + seen
            assert seen == list(range(500))
            found, seen = await page(client, "tail=70&after=1-0"), []
            while True:
                seen += numbers(found)
                if not found["newer"]:
                    break
                found = await page(client, f"tail=70&after={found['last']}")
            assert seen == list(range(500))
            assert (await page(client, "tail=0"))["logs"] == []
            wrong = ("before=x", "after=1", "until=soon", "at=soon", "source=else", "version=-1")
            for query in wrong:
                assert code(await client.get(f"/api/apps/hello/logs?{query}")) == "invalid"

    web(body)


def test_a_search_is_bounded_and_says_where_to_go_on(web: Web, monkeypatch: Any) -> None:
    """As JSON; as text it goes on by itself."""

    async def body(stage: Stage) -> None:
        monkeypatch.setattr(logpage, "SEARCH_BYTES_MAX", 1)
        stage.rooms.logs._bytes_max = 10 << 20
        app = await stage.app("hello")
        stage.rooms.logs.add(app.id, 1, "app", [b"needle", *[b"x" * 9_000] * 100])
        async with stage.client(stage.operator_token) as client:
            answer = (await client.get("/api/apps/hello/logs?q=needle", headers=JSON)).json()
            assert (answer["logs"], answer["older"]) == ([], True)
            assert 0 < answer["looked_bytes"] <= 256 << 10
            assert (await client.get("/api/apps/hello/logs?q=needle")).text.count("\n") == 1
            shown = (await client.get("/apps/hello/logs?q=needle", headers={"accept": "text/html"})).text
            assert "Nothing in what was looked through: 2" in shown
            assert 'rel="prev">Older' in shown

    web(body)


def test_lines_between_two_times_of_one_version_and_source(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        marks = []
        for word in (b"one", b"two", b"three"):
            stage.rooms.logs.add(app.id, 7 if word == b"two" else 1, "app", [b"word " + word])
            await asyncio.sleep(0.002)
            marks.append(stage.rooms.now())
            await asyncio.sleep(0.002)
        async with stage.client(stage.operator_token) as client:

            async def texts(query: str) -> list[str]:
                answer = await client.get(f"/api/apps/hello/logs?q=word&{query}", headers=JSON)
                return [line["text"] for line in answer.json()["logs"]]

            assert await texts(f"since={marks[0]}&until={marks[1]}") == ["word two"]
            assert await texts(f"at={marks[0]}&tail=1") == ["word two"]
            assert await texts("version=7") == ["word two"]
            assert await texts("source=steadyd") == []

    web(body)


def test_a_download_is_all_that_matches(web: Web, monkeypatch: Any) -> None:
    async def body(stage: Stage) -> None:
        monkeypatch.setattr(logpage, "DOWNLOAD_LINES_MAX", 30)
        await written(stage)
        async with stage.client(stage.operator_token) as client:
            answer = await client.get("/api/apps/hello/logs?q=number&download=1&tail=1")
            assert answer.headers["content-disposition"] == 'attachment; filename="hello.log"'
            assert [int(line.rsplit(" ", 1)[1][:-1]) for line in answer.text.splitlines()] == list(range(500))
            lines = await client.get("/api/apps/hello/logs?q=7.&download=1", headers={"accept": "application/x-ndjson"})
            assert (lines.text.count("\n"), lines.headers["content-type"]) == (50, "application/x-ndjson")

    web(body)


def test_the_page_shows_lines_and_the_way_to_older_ones(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await written(stage)
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        stage.rooms.logs.add(app.id, 1, "app", [b"\x1b[31mred\x1b[0m <b>", b"1%\r2%\r"])
        async with stage.client(stage.operator_token, accept="text/html") as client:
            first = (await client.get("/apps/hello/logs")).text
            assert "red &lt;b&gt;</p>" in first
            assert "2%</p>" in first
            assert "number 499." in first
            assert "number 100." not in first
            older = first.partition('rel="prev"')[0].rpartition('href="')[2].partition('"')[0]
            second = (await client.get("/apps/hello/logs" + older.replace("&amp;", "&"))).text
            assert "number 200." in second
            assert "number 499." not in second
            assert 'rel="next">Newer' in second
            assert "“until” is a time" in (await client.get("/apps/hello/logs?until=soon")).text
        async with stage.client(await stage.guest(), accept="text/html") as stranger:
            assert (await stranger.get("/apps/hello/logs")).status_code == 404

    web(body)


def test_too_many_searches_are_sent_away(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with contextlib.AsyncExitStack() as busy:
            for _ in range(SEARCHES_AT_ONCE_MAX):
                await busy.enter_async_context(stage.rooms.searches())
            async with stage.client(stage.operator_token) as client:
                calls = [
                    asyncio.ensure_future(client.get("/api/apps/hello/logs?q=x", headers=JSON))
                    for _ in range(SEARCHES_WAITING_MAX + 1)
                ]
                done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                refused = done.pop().result()
                assert (refused.status_code, code(refused)) == (503, "overloaded")
                await busy.aclose()
                assert {(await call).status_code for call in waiting} == {200}

    web(body)
