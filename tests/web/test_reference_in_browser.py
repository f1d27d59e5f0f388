"""The description of the API as somebody uses it: lines with their own app and token, and a search."""

from __future__ import annotations

from tests.served import Daemon
from tests.web.test_browser import HELLO, Browser, chromium, control, log_in, opened
from tests.web.test_browser import pytestmark as needs_chromium

__all__ = ["chromium"]

pytestmark = needs_chromium


def test_lines_take_an_app_and_a_token_that_is_never_sent(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("lines", {"index.ts": HELLO})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/api/docs")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("App", exact=True).select_option("lines")
        page.get_by_label("Token", exact=True).fill("steady_my-own")
        line = page.locator("#stop_app code[data-curl]").inner_text()
        assert "Bearer steady_my-own" in line
        assert line.endswith(f"{control(daemon)}/api/apps/lines/stop")
        page.get_by_label("Search", exact=True).fill("cron runs")
        assert page.locator("#list_cron_runs").is_visible()
        assert not page.locator("#stop_app").is_visible()
        page.get_by_label("Search", exact=True).fill("zzz")
        page.get_by_text("No call says that.").wait_for()
        page.get_by_label("Search", exact=True).press("Enter")
        assert [url for url in asked if "/static/" not in url or "steady_my" in url] == []
        page.goto(control(daemon) + "/errors#held")
        assert page.locator("#held").is_visible()
