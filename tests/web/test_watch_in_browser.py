"""The log and the requests in a real browser: a flood that neither freezes nor jumps, search, one request's lines."""

from __future__ import annotations

from typing import Any

from tests.served import Daemon
from tests.web.test_browser import chromium, control, log_in, opened, pytestmark  # noqa: F401

Page = Any

FLOOD = """
let number = 0;
function flood(count) {
  const end = number + count;
  const timer = setInterval(() => {
    let text = '';
    for (let n = 0; n < 50 && number < end; n++) text += `\\x1b[32mline\\x1b[0m ${number++} of the flood\\n`;
    process.stdout.write(text);
    if (number >= end) clearInterval(timer);
  }, 10);
}
export default {
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/flood') flood(Number(searchParams.get('lines')));
    if (pathname === '/needle') console.log('a needle for ' + request.headers.get('steady-request-id'));
    console.log('asked', pathname);
    return new Response('ok', { status: pathname === '/missing' ? 404 : 200, headers: { 'set-cookie': 'sid=s3cr3t' } });
  },
}
"""
"""Five thousand lines a second."""
GAP_MS_MAX = 1_000
"""Between two frames, on a machine that also runs the flood and the daemon, and other tests."""
WATCH_FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const tick = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""
MIDDLE = """() => {
  const box = document.querySelector('.log-box').getBoundingClientRect();
  return document.elementFromPoint(box.left + 60, box.top + box.height / 2).closest('p').textContent;
}"""
"""The line in the middle of what one sees."""


def test_a_flood_neither_freezes_nor_moves_what_is_read(daemon: Daemon, chromium: Any) -> None:  # noqa: F811
    daemon.create("flood", {"index.ts": FLOOD})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/apps/flood/logs")
        page.get_by_text("live", exact=True).wait_for()
        box = page.locator(".log-box")
        box.get_by_text("Started server").first.wait_for()
        page.evaluate(WATCH_FRAMES)
        daemon.ask("flood", "/flood?lines=10000")
        page.get_by_text("line 9999 of the flood").wait_for()
        longest = page.evaluate("window.longest")
        assert longest < GAP_MS_MAX, longest
        assert box.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") <= 4
        assert page.locator(".log-rows p").count() <= 400
        assert page.locator(".log-rows .ink-green").first.inner_text() == "line"

        # Scrolled up, what is read stays where it is, and so does the page.
        box.hover()
        page.mouse.wheel(0, -600)
        page.get_by_role("button", name="To the end").wait_for()
        read, scrolled = page.evaluate(MIDDLE), page.evaluate("scrollY")
        daemon.ask("flood", "/flood?lines=2500")
        page.get_by_role("button", name="new lines").wait_for()
        page.wait_for_function("() => /2,50\\d new lines/.test(document.querySelector('.to-end').textContent)")
        assert (page.evaluate(MIDDLE), page.evaluate("scrollY")) == (read, scrolled)
        page.get_by_role("button", name="new lines").click()
        page.get_by_text("line 12499 of the flood").wait_for()

        # From the beginning, by the keyboard; then a search over all of it.
        box.press("Home")
        page.get_by_text("line 3 of the flood").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("no such line")
        page.get_by_text("Nothing fits").wait_for()
        page.get_by_label("Contains").fill("line 11345 of")
        page.get_by_text("line 11345 of the flood").wait_for()
        assert page.locator(".log-rows p").count() == 1
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert download.value.path().read_text().count("\n") == 1


def test_from_a_request_to_its_lines(daemon: Daemon, chromium: Any) -> None:  # noqa: F811
    daemon.create("asked", {"index.ts": FLOOD})
    daemon.ask("asked", "/needle")
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/apps/asked/requests")
        page.get_by_role("cell", name="/needle").wait_for()
        daemon.ask("asked", "/missing", headers={"authorization": "Bearer s3cr3t"})
        page.get_by_role("cell", name="/missing", exact=True).click()
        detail = page.locator(".request-detail")
        detail.get_by_text("asked /missing").wait_for()
        detail.get_by_text("Request headers").click()
        assert "Bearer •••(6)" in detail.inner_text()
        detail.get_by_text("Answer headers").click()
        assert "sid=•••(6)" in detail.inner_text()
        assert "s3cr3t" not in page.content()
        page.get_by_label("Status").fill("2xx")
        page.get_by_role("cell", name="/missing", exact=True).wait_for(state="detached")
        page.get_by_role("cell", name="/needle", exact=True).click()
        page.locator(".request-detail .named").get_by_text("a needle for").wait_for()
        page.get_by_role("link", name="The log at that time").click()
        page.get_by_text("a needle for").first.wait_for()

        # The same beside the editor, where a request can be sent again.
        page.goto(control(daemon) + "/apps/asked")
        page.get_by_role("tab", name="Requests").click()
        page.get_by_role("cell", name="/missing", exact=True).click()
        page.get_by_role("link", name="The log at that time").click()
        page.get_by_role("log").get_by_text("asked /missing").wait_for()
        page.get_by_role("tab", name="Requests").click()
        page.get_by_role("button", name="Send again").click()
        assert page.get_by_label("Path to ask").input_value() == "/missing"
        names = page.get_by_label("Header's name").evaluate_all("fields => fields.map((field) => field.value)")
        assert "authorization" not in [name.lower() for name in names]


def test_both_pages_without_scripts(daemon: Daemon, chromium: Any) -> None:  # noqa: F811
    daemon.create("still", {"index.ts": FLOOD})
    for _ in range(3):
        daemon.ask("still", "/needle")
    with opened(chromium, java_script_enabled=False) as page:
        log_in(page, daemon)
        page.goto(control(daemon) + "/apps/still/logs")
        page.get_by_label("Contains").fill("needle for")
        page.get_by_role("button", name="Find").click()
        assert page.locator(".log-lines p").count() == 3
        page.get_by_role("link", name="Requests").first.click()
        page.locator(".requests tbody a").first.click()
        assert "until the app answered" in page.inner_text("main")
        assert page.locator(".named").count() >= 1
