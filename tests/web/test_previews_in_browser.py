"""The panes beside the editor: the draft in a frame, and a request built by hand."""

from __future__ import annotations

from tests.served import Daemon
from tests.web.test_browser import Browser, Page, chromium, control, log_in, opened, pytestmark

__all__ = ["chromium", "pytestmark"]

SOURCE = """import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
export default {
  async fetch(request: Request) {
    const { pathname } = new URL(request.url);
    console.log("asked for", request.method, pathname);
    if (request.method === "POST") return Response.json({ said: await request.text() }, { status: 201 });
    db.run("INSERT INTO notes VALUES ('x')");
    const { n } = db.query("SELECT count(*) AS n FROM notes").get() as { n: number };
    return new Response(`<h1>The old text</h1><p>${n} notes</p>`, { headers: { "content-type": "text/html" } });
  },
};
"""
BROKEN = "export default {\n  fetch( => 1\n};\n"


def test_the_draft_is_seen_before_it_goes_live_and_the_app_is_asked_by_hand(daemon: Daemon, chromium: Browser) -> None:
    """Typed, shown by Ctrl+Enter on a copy of the data, broken and told where; then a request with its log line."""
    daemon.create("drafted", {"index.ts": SOURCE})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/apps/drafted")
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="The old text").wait_for()
        write(page, SOURCE.replace("old", "new"))
        page.keyboard.press("Control+Enter")
        frame.get_by_role("heading", name="The new text").wait_for()
        page.get_by_text("The draft runs on a fresh copy of the data, started in").wait_for()
        page.get_by_role("log", name="What the draft prints").get_by_text("asked for GET /").first.wait_for()
        assert "The old text" in daemon.ask("drafted").text
        assert daemon.api("GET", "/apps/drafted").json()["app"]["version"] == 1

        write(page, BROKEN)
        page.keyboard.press("Control+Enter")
        page.get_by_role("alert").get_by_text("The draft does not run.").wait_for()
        page.get_by_role("button", name="Go to index.ts:2").click()
        assert page.evaluate("document.activeElement.classList.contains('cm-content')")
        page.get_by_role("button", name="End", exact=True).click()
        frame.get_by_role("heading", name="The old text").wait_for()
        assert daemon.api("GET", "/apps/drafted/preview").json() == {"preview": None}

        page.get_by_role("tab", name="Try").click()
        page.get_by_label("Method").select_option("POST")
        page.get_by_label("Path to ask").fill("/by hand")
        page.get_by_label("Body").fill("hello")
        page.get_by_role("button", name="Add a header").click()
        page.get_by_label("Header's name").fill("X-One")
        page.get_by_label("Header's value").fill("1")
        page.get_by_label("Header's value").press("Control+Enter")
        answer = page.get_by_role("region", name="Answer")
        answer.get_by_text('"said": "hello"').wait_for()
        assert answer.get_by_text("201").is_visible()
        answer.get_by_role("log").get_by_text("asked for POST /by%20hand").wait_for()
        page.reload()
        page.get_by_role("tab", name="Try").click()
        page.get_by_text("Asked before").click()
        page.get_by_role("button", name="POST /by hand").click()
        assert page.get_by_label("Body").input_value() == "hello"


def write(page: Page, text: str) -> None:
    """Another text in the editor."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")  # over a selection Chromium would insert with the style that was there
    page.keyboard.insert_text(text)


def test_the_panes_fit_a_phone(daemon: Daemon, chromium: Browser) -> None:
    daemon.create("narrow", {"index.ts": SOURCE})
    with opened(chromium, viewport={"width": 360, "height": 740}, color_scheme="dark") as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/apps/narrow")
        page.get_by_label("Draft", exact=True).check()
        page.get_by_text("The draft runs on a fresh copy").wait_for()
        assert page.evaluate(SIDEWAYS, "preview") == 0
        page.get_by_role("tab", name="Try").click()
        page.get_by_role("button", name="Add a header").click()
        page.get_by_label("Method").select_option("POST")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("in the app").wait_for()
        assert page.evaluate(SIDEWAYS, "try") == 0


SIDEWAYS = """(name) => {
  const pane = document.querySelector(`[data-pane=${name}]`);
  return pane.scrollWidth - pane.clientWidth;
}"""
