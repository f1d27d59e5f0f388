"""What becomes of an app, in a real browser against a real daemon: a cron run by hand, a range by dragging, an
operation step by step, and from a moment to what the backups page asks."""

from __future__ import annotations

import json

import pytest

from tests.served import Daemon
from tests.web.test_browser import CHROMIUM, Browser, control, log_in, opened
from tests.web.test_browser import chromium as chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

APP = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS visits (at INTEGER)");
export default { fetch() { db.run("INSERT INTO visits VALUES (1)"); console.log("ticked"); return new Response(); } };
"""
CRONS = {"crons": [{"schedule": "*/15 * * * *", "path": "/tick"}]}


def test_a_cron_by_hand_a_range_by_dragging_and_a_moment(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("shop", {"index.ts": APP, "steady.json": json.dumps(CRONS)})
    point = daemon.api("POST", "/apps/shop/backups", json={"note": "before"}).json()["point"]["id"]
    home = f"{control(daemon)}/apps/shop"
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"{home}/crons")
        page.get_by_role("button", name="Run now").click()
        tick = page.locator("#cron-tick")
        tick.locator(".pill", has_text="ok").wait_for()
        tick.get_by_role("row").last.get_by_role("link").click()
        page.get_by_text("ticked").wait_for()

        page.goto(f"{home}/metrics")
        plot = page.locator("#requests .plot")
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60)
        page.locator("#requests [data-reading]").get_by_text("0 requests").wait_for()
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
        page.mouse.up()
        page.wait_for_url("**/metrics?from=*")
        assert page.get_by_label("from").input_value() != ""

        slow = {"files": {"index.ts": "await Bun.sleep(1200);\n" + APP}, "merge": True}
        begun = daemon.api("POST", "/apps/shop/deploys", json=slow, headers={"Prefer": "respond-async"})
        page.goto(f"{home}/activity/operation/{begun.json()['operation']['id']}")
        page.get_by_text("trial…").wait_for()
        page.get_by_text("It is done.").wait_for()
        assert page.locator(".is-done").inner_text() == "done"

        page.goto(f"{home}/timeline")
        page.get_by_label("Choose a moment", exact=True).fill(f"point:{point}")
        page.get_by_role("button", name="Choose", exact=True).click()
        page.get_by_text("Version 1 was live.").wait_for()
        assert page.locator(".chosen-at").count() == 1
        page.get_by_role("link", name="Restore to here").click()
        page.get_by_role("button", name="Go back to this moment").wait_for()
        page.go_back()
        page.get_by_role("link", name="See code").click()
        page.wait_for_url("**/apps/shop/versions/1")
