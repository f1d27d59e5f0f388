"""Every page for everybody: what axe-core calls serious or worse is on none, in both themes; nothing is wider than a
phone; and a page is walked through by keyboard alone."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.pages import STATIC
from steadyd.web.frame import PLACES
from tests.served import Daemon
from tests.web.test_browser import Browser, chromium, control, log_in, opened, pytestmark

__all__ = ["chromium", "pytestmark"]

AXE = STATIC / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
APP = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, at TEXT, note TEXT)");
export default {
  fetch(request: Request) {
    db.run("INSERT INTO visits (at, note) VALUES (datetime('now'), ?)", [request.url]);
    console.log(`\\u001b[32masked\\u001b[0m ${request.url} ${"wide".repeat(60)}`);
    return new Response("hello", { status: request.url.endsWith("/bad") ? 500 : 200 });
  },
};
"""
ALONE = (
    "/", "/new?template=htmx", "/apps", "/components", "/api/docs", "/signup", "/nothing-here", "/account", "/host",
    "/host/users",
)  # fmt: skip
BELOW = (
    "/databases/data.sqlite?table=visits", "/changed?file=data.sqlite", "/backups?at=5s ago", "/versions/diff?to=2",
    "/requests/1",
)  # fmt: skip
RULES: dict[str, list[str]] = {"light": [], "dark": ["color-contrast"]}
"""Of a page that was seen whole in light, dark changes the colours."""
Page = Any


@pytest.fixture(scope="module")
def addresses(daemon: Daemon) -> list[str]:
    """Every page, of an app about which there is something to tell."""
    daemon.create("lived-in", {"index.ts": APP, "lib/deep/er.ts": "export const x = 1;\n"})
    daemon.api("POST", "/apps/lived-in/deploys", json={"files": {"lib/deep/er.ts": "\n"}, "merge": True})
    daemon.api("PATCH", "/apps/lived-in/env", json={"API_TOKEN": "x"})
    for path in ("/", "/a?b=<script>", "/bad", "/" + "wide" * 40):
        daemon.ask("lived-in", path)
    app = "/apps/lived-in"
    return [*ALONE, *(f"{app}/{place}".rstrip("/") for place in PLACES), *(app + below for below in BELOW)]


def test_no_page_has_a_serious_fault_in_either_theme(daemon: Daemon, chromium: Browser, addresses: list[str]) -> None:
    complaints = []
    for theme, width in (("light", 1280), ("dark", 390)):
        with opened(chromium, color_scheme=theme, viewport={"width": width, "height": 800}) as page:
            log_in(page, daemon)
            for address in addresses:
                page.goto(control(daemon) + address)
                complaints += [f"{theme} {width} {address}: {fault}" for fault in faults(page, RULES[theme])]
    assert not complaints, "\n".join(complaints)


def faults(page: Page, rules: list[str]) -> list[str]:
    """What axe-core finds grave, by `rules` or by all, and whatever makes the page wider than the window."""
    page.evaluate(AXE.read_text())
    # Frames are other people's pages.
    options = {"resultTypes": ["violations"], "iframes": False, **({"runOnly": rules} if rules else {})}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    said = [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"][:2]
    ]
    return [*said, *page.evaluate(WIDE)]


WIDE = """
() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *, header *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(
    "[tabindex='0'], .scroll, .places"))
  .slice(0, 3).map((element) => `wider than the window: ${element.outerHTML.slice(0, 160)}`)
"""
