"""What was asked of an app, by the page, and one request with its timing, headers and log lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steadyd.model import App, Event
from steadyd.records.heads import Heads
from steadyd.records.requests import Request
from steadyd.web import requests as module
from tests.web.conftest import Stage, Web, code

JSON = {"accept": "application/json"}
NOW = 1_700_000_000.0


def asked(number: int, **changes: Any) -> Request:
    made = Request(0, NOW + number, f"r{number}", "GET", f"/{number}", 200, "", "192.0.2.1", 1, 2, 0, 4_000, 5_000)
    return replace(made, **changes)


def test_pages_of_the_api_meet_and_filters_hold(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        rows = [asked(n, status=404 if n % 10 == 0 else 200) for n in range(50)]
        stage.rooms.requests.store(app.id, rows)
        async with stage.client(stage.operator_token) as client:

            async def page(query: str) -> dict[str, Any]:
                answer = await client.get(f"/api/apps/hello/requests?{query}", headers=JSON)
                assert answer.status_code == 200, answer.text
                return dict(answer.json())

            found = await page("tail=20")
            assert [row["path"] for row in found["requests"]] == [f"/{n}" for n in range(30, 50)]
            found = await page(f"tail=20&before={found['first']}")
            assert [row["path"] for row in found["requests"]] == [f"/{n}" for n in range(10, 30)]
            assert (found["older"], found["newer"]) == (True, True)
            found = await page(f"tail=20&after={found['last']}")
            assert (found["requests"][0]["path"], found["newer"]) == ("/30", False)
            for query, count in {
                "status=404": 5, "status=4xx": 5, "status=failed": 5, "status=2xx": 45, "method=get": 50, "path=/1": 11,
                "slower_ms=4.9": 50, "slower_ms=5.1": 0, f"since={NOW + 40}": 10, f"until={NOW + 3}": 3, "error=x": 0,
            }.items():  # fmt: skip
                assert len((await page(query))["requests"]) == count, query
            for wrong in ("status=9xx", "status=4", "before=-1", "slower_ms=x", "until=soon", "after=x"):
                assert code(await client.get(f"/api/apps/hello/requests?{wrong}")) == "invalid"

    web(body)


async def one(stage: Stage, app: App) -> int:
    """A cold request of version 1 with a line of the log that names it, and one that ran meanwhile."""
    begin = stage.rooms.now()
    stage.rooms.logs.add(app.id, 7, "app", [b"it was r1", b"somebody else"])
    cold = asked(1, at=begin - 0.5, gate_us=300_000, app_us=150_000, total_us=1_000_000, version=7)
    rows = [
        replace(cold, status=502, error="app_died"),
        asked(2, at=begin - 0.1, total_us=200_000, version=7),
    ]
    await stage.rooms.journal.add_event(app.id, Event(begin - 0.2, "wake", "", {"ms": 120.0}))
    kept = {"r1": Heads("Host: a\nCookie: sid=•••(3)", "Server: b", True)}
    return stage.rooms.requests.store(app.id, rows, kept)[0].id


def test_one_request_with_all_that_is_known(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        number = await one(stage, app)
        async with stage.client(stage.operator_token) as client:
            found = (await client.get(f"/api/apps/hello/requests/{number}")).json()
            assert found["request"]["request_id"] == "r1"
            assert abs(found["start_us"] - 120_000) < 1_000
            assert found["request_headers"] == [
                {"name": "Host", "value": "a"}, {"name": "Cookie", "value": "sid=•••(3)"},
            ]  # fmt: skip
            assert found["response_headers"] == [{"name": "Server", "value": "b"}]
            assert found["others"] == 1
            assert [line["text"] for line in found["logs"]] == ["it was r1", "somebody else"]
            assert found["named"] == [found["logs"][0]["id"]]
            plain = (await client.get(f"/api/apps/hello/requests/{number + 1}")).json()
            assert (plain["request_headers"], plain["start_us"]) == (None, None)
            for absent in ("0", "99", "x", "9" * 30):
                assert code(await client.get(f"/api/apps/hello/requests/{absent}")) == "not_found"

    web(body)


def test_the_pages_work_without_scripts(web: Web, monkeypatch: Any) -> None:
    async def body(stage: Stage) -> None:
        monkeypatch.setattr(module, "SHOWN_MAX", 10)
        app = await stage.app("hello")
        stage.rooms.requests.store(app.id, [asked(n) for n in range(30)])
        number = await one(stage, app)
        async with stage.client(stage.operator_token, accept="text/html") as client:
            listed = (await client.get("/apps/hello/requests")).text
            assert listed.index('href="/apps/hello/requests/32"') < listed.index('href="/apps/hello/requests/31"')
            assert 'href="/errors#app_died"' in listed
            older = listed.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
            assert "/29<" not in (await client.get("/apps/hello/requests" + older.replace("&amp;", "&"))).text
            assert "does not fit" in (await client.get("/apps/hello/requests?status=9xx")).text
            shown = (await client.get(f"/apps/hello/requests/{number}")).text
            for words in ("sid=•••(3)", "the app started", "120 ms", 'class="named"', "while 1 other request ran too"):
                assert words in shown, words
            assert "Not kept." in (await client.get("/apps/hello/requests/1")).text
            assert (await client.get("/apps/hello/requests/999")).status_code == 404
        async with stage.client(await stage.guest(), accept="text/html") as stranger:
            assert (await stranger.get(f"/apps/hello/requests/{number}")).status_code == 404

    web(body)


def test_only_so_many_lines_are_shown_beside_a_request(web: Web, monkeypatch: Any) -> None:
    async def body(stage: Stage) -> None:
        monkeypatch.setattr(module, "LINES_MAX", 5)
        app = await stage.app("hello")
        begin = stage.rooms.now()
        stage.rooms.logs.add(app.id, 7, "app", [b"line"] * 9)
        rows = [asked(1, at=begin - 0.1, total_us=200_000, version=7)]
        number = stage.rooms.requests.store(app.id, rows)[0].id
        async with stage.client(stage.operator_token) as client:
            found = (await client.get(f"/api/apps/hello/requests/{number}")).json()
            assert (len(found["logs"]), found["logs_more"]) == (5, True)

    web(body)
