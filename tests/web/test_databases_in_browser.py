"""The pages of databases in a real browser, against a real daemon."""

from __future__ import annotations

from typing import Any

import pytest

from tests.served import Daemon
from tests.web.test_browser import CHROMIUM, CONTRAST, Browser, control, log_in, opened
from tests.web.test_browser import chromium as chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

NASTY = "<img src=x onerror=window.hit=1><script>window.hit=1</script>\"'"
KEEPER = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
const nasty = `"<img src=x onerror=window.hit=1><script>window.hit=1</script>""'"`;
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, n)");
db.run(`CREATE TABLE IF NOT EXISTS ${nasty} (id INTEGER PRIMARY KEY, ${nasty} TEXT)`);
for (let id = 1; id <= 60; id++) db.run("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", [id, `note ${id}`, null]);
db.run(`INSERT OR IGNORE INTO ${nasty} VALUES (1, ?)`, [nasty]);
new Database("<b>name &lt;").run("CREATE TABLE IF NOT EXISTS t (a)");
export default { fetch: () => Response.json(db.query("SELECT * FROM notes WHERE id < 4").all()) };
"""


@pytest.fixture
def keeper(daemon: Daemon) -> Daemon:
    if daemon.api("GET", "/apps/keeper").status_code == 404:
        daemon.create("keeper", {"index.ts": KEEPER})
        daemon.ask("keeper", "/")
    return daemon


@pytest.mark.parametrize("scripts", [True, False])
def test_rows_are_edited_and_undone(keeper: Daemon, chromium: Browser, scripts: bool) -> None:
    """From the list to a cell, its undo, and SQL, with scripts and without."""
    with opened(chromium, java_script_enabled=scripts) as page:
        log_in(page, keeper)
        page.goto(control(keeper) + "/apps/keeper/databases")
        page.get_by_role("link", name="data.sqlite").click()
        page.get_by_role("navigation", name="Tables").get_by_role("link", name="notes").click()
        page.get_by_role("link", name="Edit row [2]").click()
        page.get_by_label("text TEXT").fill("zwei")
        page.get_by_label("n", exact=True).first.fill("7")
        if not scripts:
            page.get_by_label("Kind of n", exact=True).select_option("number")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("The row is changed.").wait_for()
        changed = keeper.ask("keeper", "/").json()[1]
        assert changed == {"id": 2, "text": "zwei", "n": "7" if scripts else 7}
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("It is as it was before.").wait_for()
        assert keeper.ask("keeper", "/").json()[1] == {"id": 2, "text": "note 2", "n": None}
        page.get_by_label("SQL", exact=True).fill("SELECT count(*) AS all_of_them FROM notes")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("cell", name="60", exact=True).wait_for()
        page.get_by_role("link", name="Next page").click()
        page.get_by_role("cell", name="note 60", exact=True).wait_for()


def test_nothing_that_a_database_holds_runs(keeper: Daemon, chromium: Browser) -> None:
    """Names of files, tables and columns, values, SQL and its errors."""
    with opened(chromium) as page:
        log_in(page, keeper)
        page.goto(control(keeper) + "/apps/keeper/databases")
        page.get_by_role("link", name="<b>name &lt;", exact=True).click()
        page.go_back()
        page.get_by_role("link", name="data.sqlite").click()
        page.get_by_role("navigation", name="Tables").get_by_role("link", name="onerror").click()
        page.get_by_role("link", name="onerror").last.click()
        page.get_by_role("link", name="Edit row [1]").click()
        page.get_by_label("SQL", exact=True).fill(
            f"SELECT '{NASTY.replace(chr(39), '')}' AS \"{NASTY.replace(chr(34), '')}\""
        )
        page.get_by_role("button", name="Run").click()
        page.get_by_text("1 row in").wait_for()
        page.get_by_label("SQL", exact=True).fill(f"SELECT [{NASTY}]")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("alert").wait_for()
        assert page.evaluate("window.hit") is None
        assert page.locator("main img, main script, main b:not([data-live])").count() == 0


PAGES: tuple[str, ...] = (
    "", "/data.sqlite", "/data.sqlite?table=notes&edit=%5B1%5D", "/data.sqlite?table=notes&edit=new",
    "/data.sqlite?check=1",
)  # fmt: skip


def test_every_page_fits_a_phone_and_both_schemes(keeper: Daemon, chromium: Browser) -> None:
    for scheme in ("light", "dark"):
        options: dict[str, Any] = {"color_scheme": scheme, "viewport": {"width": 360, "height": 740}}
        with opened(chromium, **options) as page:
            log_in(page, keeper)
            for path in PAGES:
                page.goto(control(keeper) + "/apps/keeper/databases" + path)
                assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
                assert page.evaluate(CONTRAST) == [], path
