"""The way of a newcomer from the first page to a live app and its log: on a phone, and by keyboard alone."""

from __future__ import annotations

from typing import Any

from steadyd.web.frame import PLACES
from tests.served import Daemon
from tests.web.test_accessible import WIDE
from tests.web.test_browser import Browser, chromium, control, opened, pytestmark

__all__ = ["chromium", "pytestmark"]

Page = Any
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
TABS_MAX = 60
"""Presses of Tab until something is reached; farther, nobody goes."""


def test_on_a_phone(daemon: Daemon, chromium: Browser) -> None:
    """Run the example, open the app, see its log, and every page of it without scrolling sideways."""
    with opened(chromium, **PHONE) as page:
        page.goto(control(daemon))
        page.locator(".cm-content").wait_for()
        assert page.evaluate(WIDE) == []
        page.get_by_label("Name").fill("pocket")
        page.get_by_role("button", name="Run it").tap()
        page.get_by_text("Live after").first.wait_for()
        assert "You are visitor number" in daemon.ask("pocket").text
        page.get_by_role("tab", name="Logs").tap()
        page.get_by_text("visit number").first.wait_for()
        assert page.evaluate(WIDE) == []
        for title in PLACES.values():
            page.get_by_role("navigation", name="Pages of this app").get_by_role("link", name=title).tap()
            page.get_by_role("navigation", name="Pages of this app").locator(
                "[aria-current]", has_text=title
            ).wait_for()
            assert page.evaluate(WIDE) == [], title


def test_by_keyboard_alone(daemon: Daemon, chromium: Browser) -> None:
    """No mouse: past the head, into the editor and out of it, run, change, deploy, and to the log by the palette."""
    with opened(chromium) as page:
        page.goto(control(daemon))
        page.locator(".cm-content").wait_for()
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        reach(page, "cm-content")
        page.keyboard.press("Control+End")
        page.keyboard.press("Tab")  # indents: the way out is Escape, then Tab
        page.keyboard.press("Escape")
        reach(page, "name")
        page.keyboard.type("handmade")
        page.keyboard.press("Enter")
        page.get_by_text("Live after").first.wait_for()
        assert daemon.ask("handmade").status_code == 200

        page.locator(".cm-content").wait_for()
        reach(page, "cm-content")
        page.keyboard.press("Control+End")
        page.keyboard.type("// by hand")
        page.keyboard.press("Control+s")
        page.get_by_text("Version 2 is live").first.wait_for()
        assert daemon.api("GET", "/apps/handmade").json()["app"]["version"] == 2
        page.keyboard.press("Control+k")
        page.get_by_role("dialog").wait_for()
        page.keyboard.type("activity")
        page.keyboard.press("Enter")
        page.wait_for_url("**/apps/handmade/activity*")


def focused(page: Page) -> str:
    """What has the focus: its id, a class, or its words."""
    return str(
        page.evaluate(
            "(({ id, classList, innerText }) => id || [...classList].find((name) => name === 'cm-content')"
            " || (innerText ?? '').trim())(document.activeElement)"
        )
    )


def reach(page: Page, wanted: str) -> None:
    """Press Tab until it has the focus."""
    seen = []
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        if seen[-1] == wanted:
            return
    raise AssertionError(f"{wanted} is not reached by keyboard: {seen}")
