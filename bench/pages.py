"""What the pages weigh and how soon they are there, in Chromium, beside a bare page.

    python -m bench.pages [ROUNDS]

One browser asks a real daemon for each page in turn, and in the same round for a page of a few words that the daemon
serves too: first with an empty cache, then again. Prints for each page the bytes that crossed the network (as sent:
compressed where the server did), the time to the first paint (`paint` entries of the browser) and the server's own time
for the document, medians over all rounds, and each as a ratio to the bare page. The exit code is 1 where a bar is
missed: SCRIPT_BYTES_MAX for all scripts of a page but the TypeScript worker, SERVER_MS_MAX for the server's time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from bench.isolation import bar
from steadyd.web.frame import PLACES
from tests.served import Daemon, data_folder, remove
from tests.web.test_accessible import APP
from tests.web.test_browser import CHROMIUM

SCRIPT_BYTES_MAX = 300_000
SERVER_MS_MAX = 50.0
USABLE_MS_MAX = 1_000.0
"""Until the editor takes keys, with an empty cache."""
BARE = "/robots.txt"
ASKED = 5
LATER = ("worker", "types")
"""What an editor asks for when it is usable already."""
Measure = dict[str, float]


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    data = data_folder()
    daemon = Daemon(data)
    try:
        daemon.create("lived-in", {"index.ts": APP})
        for number in range(200):
            daemon.ask("lived-in", f"/{number}")
        pages = [BARE, "/", "/apps", *(f"/apps/lived-in/{place}".rstrip("/") for place in PLACES)]
        found: dict[str, list[Measure]] = defaultdict(list)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for _ in range(rounds):
                for page in pages:
                    found[page].append(visit(browser, daemon, page) | {"server": server_ms(daemon, page)})
            browser.close()
        return told(found)
    finally:
        daemon.stop()
        remove(data)


def visit(browser: Browser, daemon: Daemon, path: str) -> Measure:
    """One page with an empty cache."""
    address = f"http://localhost:{daemon.port}"
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        page.goto(f"{address}/login")
        page.get_by_label("Token").fill(daemon.token)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/apps")
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.clearBrowserCache")
        weight = Weight(session)
        began = time.perf_counter()
        page.goto(address + path, wait_until="load")
        measure = {"paint": paint_ms(page)}
        if page.locator("[data-desk]").count():
            page.locator(".cm-content").first.wait_for()
            measure["usable"] = (time.perf_counter() - began) * 1000
        return measure | {"script": weight.script, "all": weight.all}
    finally:
        context.close()


class Weight:
    """Bytes as they crossed the network, of scripts and of everything."""

    def __init__(self, session: Any) -> None:
        self.script = self.all = 0.0
        self._scripts: set[str] = set()
        self._later: set[str] = set()
        session.on("Network.responseReceived", self._begin)
        session.on("Network.loadingFinished", self._end)

    def _begin(self, event: dict[str, Any]) -> None:
        if event["type"] == "Script":
            self._scripts.add(event["requestId"])
        if any(f"/static/{name}" in event["response"]["url"] for name in LATER):
            self._later.add(event["requestId"])

    def _end(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._later:
            return
        self.all += event["encodedDataLength"]
        if event["requestId"] in self._scripts:
            self.script += event["encodedDataLength"]


def paint_ms(page: Any) -> float:
    """The first paint of anything, after the request began."""
    return float(page.evaluate(FIRST_PAINT))


FIRST_PAINT = """
new Promise((then) => new PerformanceObserver((list) => then(list.getEntries()[0].startTime))
  .observe({ type: "paint", buffered: true }))
"""


def server_ms(daemon: Daemon, path: str) -> float:
    """From request to the whole document, without a browser: the data plane, the control plane, the template."""
    headers = {"authorization": f"Bearer {daemon.token}", "accept": "text/html"}
    with httpx.Client(base_url=f"http://localhost:{daemon.port}", headers=headers) as client:
        client.get(BARE)  # connects
        began = time.perf_counter()
        for _ in range(ASKED):
            assert client.get(path).status_code == 200
        return (time.perf_counter() - began) * 1000 / ASKED


def told(found: dict[str, list[Measure]]) -> int:
    """Print it; 1 if a bar is missed."""
    medians = {
        page: {key: statistics.median(each.get(key, 0.0) for each in measures) for key in (*measures[0],)}
        for page, measures in found.items()
    }
    bare = medians[BARE]
    print(f"{'page':32} {'sent kB':>9} {'script kB':>10} {'paint ms':>9} {'server ms':>10} {'usable ms':>10}")
    for page, each in medians.items():
        usable = f"{each['usable']:10.0f}" if "usable" in each else f"{'–':>10}"
        print(
            f"{page:32} {each['all'] / 1000:9.1f} {each['script'] / 1000:10.1f} {each['paint']:9.0f} "
            f"{each['server']:10.1f} {usable}   server {each['server'] / bare['server']:.1f} × the bare page"
        )
    worst = {key: max(each.get(key, 0.0) for each in medians.values()) for key in ("script", "server", "usable")}
    missed = [
        bar("script of a page, compressed, without the worker", worst["script"], SCRIPT_BYTES_MAX, "bytes"),
        bar("server time of a page", worst["server"], SERVER_MS_MAX, "ms"),
        bar("editor usable with an empty cache", worst["usable"], USABLE_MS_MAX, "ms"),
    ]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
