"""The same corpus in a real browser: pages that show it run nothing of it, also what their scripts put there."""

from __future__ import annotations

import pytest

from tests.served import Daemon, until
from tests.web.corpus import CALLS, NAME, PROBE
from tests.web.test_browser import Browser, chromium, control, log_in, opened
from tests.web.test_browser import pytestmark as needs_chromium

__all__ = ["chromium"]

pytestmark = [*needs_chromium, pytest.mark.slow]

PAGES_MAX = 36
LINKS = "[...document.querySelectorAll('main a[href^=\"/\"], nav a[href^=\"/\"]')].map((a) => a.getAttribute('href'))"


def write_it_all(daemon: Daemon) -> None:
    for method, path, body, statuses in CALLS:
        answer = daemon.api(method, path, json=body)
        assert answer.status_code in statuses, (method, path, answer.text[:300])
    daemon.ask(NAME, "/<img src=x onerror=xss=1>?q='><xss-probe>", headers={"User-Agent": PROBE, "Referer": PROBE})
    daemon.ask(NAME, "/die")
    until(lambda: daemon.api("GET", f"/apps/{NAME}").json()["app"].get("last_death"))


def test_nothing_that_somebody_wrote_runs(daemon: Daemon, chromium: Browser) -> None:
    """`opened` fails for a script's error, and for anything that our policy had to refuse."""
    write_it_all(daemon)
    with opened(chromium, extra_http_headers={"User-Agent": PROBE[:60]}) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        log_in(page, daemon)
        waiting, seen = [f"/apps/{NAME}", "/apps", "/account", f"/apps/{NAME}/activity"], list[str]()
        while waiting and len(seen) < PAGES_MAX:
            address = waiting.pop(0)
            path = address.partition("#")[0].partition("?")[0]
            if path.startswith(("/api", "/static")) or "as=patch" in address or "export" in address or path in seen:
                continue
            seen.append(path)
            page.goto(control(daemon) + address, wait_until="load")
            assert page.evaluate("window.xss") is None, address
            assert page.locator("xss-probe, [xss-x], [xss-y], img[onerror]").count() == 0, address
            waiting += page.evaluate(LINKS)
        assert len(seen) > 10
        page.goto(f"{control(daemon)}/apps/{NAME}/logs")
        page.get_by_text("xss-probe").first.wait_for()
        assert page.evaluate("window.xss") is None
        assert dialogs == []
