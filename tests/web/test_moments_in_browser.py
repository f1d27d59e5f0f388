"""Going back, looking at what changed, and forking, in a real browser against a real daemon and its real backup."""

from __future__ import annotations

from typing import Any

import pytest

from tests.served import Daemon, until
from tests.web.test_browser import CHROMIUM, CONTRAST, Browser, control, log_in, opened
from tests.web.test_browser import chromium as chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

NASTY = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
DIARY = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)");
export default { async fetch(request: Request) {
  if (request.method === "POST") db.run(await request.text());
  return Response.json(db.query("SELECT * FROM notes ORDER BY id").values());
} };
"""


@pytest.mark.parametrize("scripts", [True, False])
def test_there_and_back(daemon: Daemon, chromium: Browser, scripts: bool) -> None:
    """A point is made, rows go and one comes back, all of it goes back, that is undone, and a fork has the moment."""
    name = f"diary-{scripts}".lower()
    daemon.create(name, {"index.ts": DIARY})
    rows = [[1, "one"], [2, NASTY], [3, "three"]]
    daemon.ask(name, "/", "POST", content=f"INSERT INTO notes VALUES (1, 'one'), (2, '{NASTY}'), (3, 'three')")
    here = f"{control(daemon)}/apps/{name}/backups"
    with opened(chromium, java_script_enabled=scripts) as page:
        log_in(page, daemon)
        page.goto(f"{control(daemon)}/apps/{name}")
        page.get_by_role("link", name="Backups").click()
        page.get_by_label("Keep this moment").fill(NASTY)
        page.get_by_role("button", name="Make a restore point").click()
        page.get_by_text("is made.").wait_for()
        point = daemon.api("GET", f"/apps/{name}/backups").json()["points"][0]["id"]
        daemon.ask(name, "/", "POST", content="DELETE FROM notes WHERE id < 3; UPDATE notes SET text = 'drei'")

        page.get_by_role("link", name="Go back to restore point").click()
        page.get_by_role("link", name="What changed since").click()
        page.get_by_role("link", name="notes", exact=True).click()
        page.get_by_label("Bring back row [2]").check()
        page.get_by_label("Bring back row [3]").check()
        page.get_by_role("button", name="Bring back what is ticked").click()
        page.get_by_text("1 row came back").wait_for()
        assert daemon.ask(name, "/").json() == [rows[1], [3, "drei"]]

        page.goto(here)
        page.get_by_label("Go back to", exact=True).fill(f"point:{point}")
        page.get_by_role("button", name="Show that moment").click()
        page.get_by_role("button", name="Go back to this moment").click()
        page.get_by_text("is live.").wait_for()
        assert daemon.ask(name, "/").json() == rows
        page.get_by_role("button", name="Undo", exact=True).click()
        page.get_by_text("is live.").wait_for()
        assert daemon.ask(name, "/").json() == [rows[1], [3, "drei"]]

        page.goto(f"{here}?at=point:{point}")
        page.get_by_label("Name of the new app").first.fill(f"{name}-then")
        page.get_by_role("button", name="Fork into a new app").click()
        page.wait_for_url(f"**/apps/{name}-then")
        assert daemon.ask(f"{name}-then", "/").json() == rows
        if scripts:
            assert page.evaluate("window.hit") is None


def test_every_page_fits_a_phone_and_both_schemes(daemon: Daemon, chromium: Browser) -> None:
    if daemon.api("GET", "/apps/fits").status_code == 404:
        daemon.create("fits", {"index.ts": DIARY})
        daemon.ask("fits", "/", "POST", content=f"INSERT INTO notes VALUES (1, 'one'), (2, '{NASTY * 9}')")
        assert daemon.api("POST", "/apps/fits/backups", json={"note": NASTY * 3}).status_code == 201
        daemon.ask("fits", "/", "POST", content="UPDATE notes SET text = 'two' WHERE id = 2")
    until(lambda: daemon.api("GET", "/apps/fits/backups").json()["points"][0]["state"] == "pinned")
    point = daemon.api("GET", "/apps/fits/backups").json()["points"][0]["id"]
    since = f"changed?from=point:{point}"
    for scheme in ("light", "dark"):
        options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": 360, "height": 740}}
        with opened(chromium, **options) as page:
            log_in(page, daemon)
            for path in ("backups", f"backups?at=point:{point}", since, f"{since}&table=notes"):
                page.goto(f"{control(daemon)}/apps/fits/{path}")
                assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
                assert page.evaluate(CONTRAST) == [], path
            assert page.evaluate("window.hit") is None
            assert page.locator("main img, main script").count() == 0
