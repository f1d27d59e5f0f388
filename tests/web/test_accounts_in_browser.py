"""Sessions and suspensions in a real browser, against a real daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import Daemon, data_folder, remove
from tests.web.test_browser import CHROMIUM, HELLO, Browser, chromium, control, log_in, opened

__all__ = ["chromium"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

CONTACT = "abuse@steady.example"


@pytest.fixture(scope="module")
def named() -> Iterator[Daemon]:
    """A daemon with an abuse contact."""
    data = data_folder()
    started = Daemon(data, "--abuse-contact", CONTACT)
    try:
        yield started
        assert started.stop() == 0, "".join(started.output)
    finally:
        started.kill()
        remove(data)


def test_a_session_that_was_ended_is_out_at_its_next_click(named: Daemon, chromium: Browser) -> None:
    with opened(chromium) as here, opened(chromium) as there:
        here.goto(control(named) + "/signup")
        here.get_by_label("User name").fill("ada")
        here.get_by_label("Password").fill("correct horse")
        here.get_by_role("button", name="Sign up").click()
        here.wait_for_url("**/apps")
        there.goto(control(named) + "/login")
        there.get_by_label("User name").fill("ada")
        there.get_by_label("Password").fill("correct horse")
        there.get_by_role("button", name="Log in").click()
        there.wait_for_url("**/apps")

        here.get_by_role("link", name="ada").click()
        here.get_by_role("button", name="Log out Chrome").click()
        here.get_by_text("That browser is logged out.").wait_for()
        there.get_by_role("link", name="ada").click()
        there.get_by_text("Log in to see your account.").wait_for()


def test_visitors_of_a_suspended_app_find_the_abuse_contact(named: Daemon, chromium: Browser) -> None:
    named.create("spam", {"index.ts": HELLO})
    with opened(chromium) as operator, opened(chromium) as visitor:
        address = f"http://spam.localhost:{named.port}/"
        visitor.goto(address)
        assert "hello" in visitor.inner_text("body")
        log_in(operator, named)
        operator.get_by_role("link", name="Host", exact=True).click()
        operator.get_by_label("What may be done with spam").click()
        operator.get_by_label("Reason, for the owner of spam").fill("It sends spam.")
        operator.get_by_role("button", name="Suspend").click()
        operator.get_by_text("The app is suspended. It answers nobody").wait_for()
        visitor.goto(address)
        visitor.get_by_role("heading", name="The app is suspended").wait_for()
        assert visitor.get_by_role("link", name=CONTACT).get_attribute("href") == f"mailto:{CONTACT}"
        assert "It sends spam" not in visitor.content()
