"""The page of an app's metrics."""

from __future__ import annotations

import re

from steadyd.records.requests import Request
from steadyd.web.period import WINDOWS
from tests.web.conftest import Stage, Web
from tests.web.test_pages import log_in
from tests.web.test_series import NOW, past

PATH = "/apps/hello/metrics"


def test_numbers_stand_before_charts_and_every_bar_leads_to_its_requests(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage = await past(stage)
        async with stage.client(cookie=await log_in(stage)) as client:
            page = (await client.get(PATH)).text
            assert page.index("Requests today") < page.index('<svg class="plot"')
            assert "of 256 MiB" in page
            assert page.count("data-chart>") == 5
            assert "/apps/hello/requests?since=2027-01-15T07%3A59%3A00Z&amp;until=2027-01-15T08%3A00%3A00Z" in page
            assert "2 requests, 1 error</title>" in page
            assert "2 wakes, the slowest in 120 ms</title>" in page
            table = page[page.index("The numbers as a table") :]
            assert len(re.findall("<tr><td>", table)) == 4, "only where something happened"
            assert "style=" not in page

    web(body)


def test_each_range_is_shown_and_what_is_none_is_said(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage = await past(stage)
        async with stage.client(cookie=await log_in(stage)) as client:
            for window in WINDOWS:
                page = await client.get(PATH, params={"window": window})
                assert page.status_code == 200
                assert f'?window={window}" aria-current="true"' in page.text
            chosen = await client.get(PATH, params={"from": "1h ago", "to": "30m ago"})
            assert "1 request, by minute" in chosen.text
            refused = await client.get(PATH, params={"from": "<script>", "to": "x"})
            assert refused.status_code == 422
            assert "“&lt;script&gt;” is not a moment" in refused.text
            assert 'aria-current="true">last hour' in refused.text

    web(body)


def test_an_app_that_was_never_asked_has_empty_charts(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.rebuilt(now=lambda: NOW).client(cookie=await log_in(stage)) as client:
            page = (await client.get(PATH)).text
            assert "0 requests, by minute" in page
            assert "Nothing happened in this range." in page

    web(body)


def test_a_page_of_a_full_log_is_made_fast(web: Web) -> None:
    """The work does not grow with the log: 20,000 requests of a day are read as a few buckets."""

    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        rows = [
            Request(0, NOW - number * 4, "id", "GET", "/", 200, "", "", 0, 0, 0, 1_000 + number % 977, 0)
            for number in range(20_000)
        ]
        stage.rooms.requests.store(app.id, rows)
        asked, _ = await stage.rooms.metrics.series(app.id, NOW - 86_400, NOW, 900)
        assert sum(tally.requests for tally in asked) == 20_000
        sql = "SELECT count(*) FROM tallies WHERE level = 900"
        kept = await stage.rooms.requests.read(app.id, lambda db: int(str(db.execute(sql).fetchall()[0][0])))
        assert kept is not None
        assert kept <= 90 * 9, "a row for each quarter of an hour and class of latency"

    web(body)
