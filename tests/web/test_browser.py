"""The pages in a real browser, against a real daemon: what a person does, and what no other page can do to them."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.served import Daemon, until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install .[dev])")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)"),
]

BLANK = """export default {
  fetch: () => new Response('<!doctype html><body>', { headers: { 'content-type': 'text/html' } }),
}"""
HELLO = "export default { fetch: () => new Response('hello') }\n"
WAIT_MS = 15_000
Page = Any
Browser = Any

PASTE = """(e, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  e.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        # As root Chromium has no sandbox of its own; it only meets our own pages here.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Browser, framing: bool = False, **options: Any) -> Iterator[Page]:
    """A fresh person with an empty browser. A script error or a refusal by our own policy fails the test, unless the
    test is about `framing`."""
    context = chromium.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if "Security Policy" in message.text else None)
    try:
        yield page
        assert framing or troubles == []
    finally:
        context.close()


def control(daemon: Daemon) -> str:
    return f"http://localhost:{daemon.port}"


def run(page: Page, daemon: Daemon, name: str, source: str = "") -> None:
    """Paste and run from the home page."""
    page.goto(control(daemon))
    if source:
        write(code_of(page, "index.ts"), source)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Run it").click()


def code_of(page: Page, path: str) -> Any:
    """Where a file is edited: a text area, or with scripts the editor."""
    return page.get_by_role("textbox", name=path)


def write(code: Any, text: str) -> None:
    """Have `text` alone be there. Into the editor it is pasted: the browser styles what Playwright fills in there."""
    if code.evaluate("(e) => 'value' in e"):
        code.fill(text)
    else:
        code.press("Control+a")
        code.evaluate(PASTE, text)


def text_in(code: Any) -> str:
    """What is written there."""
    lines = "[...e.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\\n')"
    return str(code.evaluate(f"(e) => e.value ?? {lines}"))


def log_in(page: Page, daemon: Daemon) -> None:
    page.goto(control(daemon) + "/login")
    page.get_by_label("Token").fill(daemon.token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/apps")


@pytest.mark.parametrize("scripts", [True, False])
def test_paste_run_break_repair(daemon: Daemon, chromium: Browser, scripts: bool) -> None:
    """The whole way of a newcomer, with scripts and without: live with its time, a failed deploy that says where and
    loses nothing, a good one."""
    name = f"way-{scripts}".lower()
    with opened(chromium, java_script_enabled=scripts) as page:
        run(page, daemon, name)
        page.get_by_role("status").get_by_text(re.compile(r"Live after [\d.]+ ms")).wait_for()
        assert "You are visitor number" in daemon.ask(name).text

        editor = code_of(page, "index.ts")
        good = text_in(editor)
        write(editor, good.replace("fetch(request: Request) {", "fetch(request: Request {"))
        page.get_by_role("button", name="Deploy").click()
        failure = page.get_by_role("alert")
        failure.get_by_text("Not deployed").wait_for()
        assert "index.ts:8" in failure.inner_text()
        assert "fetch(request: Request {" in text_in(editor)
        assert "You are visitor number" in daemon.ask(name).text

        write(editor, good.replace("You are visitor", "You are guest"))
        page.get_by_role("button", name="Deploy").click()
        page.get_by_text("Version 2 is live after").wait_for()
        assert "You are guest number" in daemon.ask(name).text
        page.get_by_role("link", name="Apps").click()
        assert name in page.inner_text("main")


def test_what_happens_appears_by_itself(daemon: Daemon, chromium: Browser) -> None:
    """A log line, a request and the state, without a reload; and the stream goes on after the daemon's restart."""
    source = "export default { fetch(request) { console.log(`asked ${request.url}`); return new Response('hi') } }"
    with opened(chromium) as page:
        run(page, daemon, "lively", source)
        page.get_by_role("tab", name="Logs").click()
        page.get_by_text("live", exact=True).first.wait_for()
        daemon.ask("lively", "/some/where?x=1")
        page.get_by_role("log").get_by_text("/some/where?x=1").wait_for()
        page.get_by_role("tab", name="Requests").click()
        page.get_by_role("cell", name="/some/where").wait_for()
        daemon.api("POST", "/apps/lively/stop", json={"hold": True})
        page.locator(".pill.held").first.wait_for()
        assert page.get_by_role("button", name="Start", exact=True).is_visible()
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_text("It runs.").wait_for()


def test_files_as_tabs_without_scripts(daemon: Daemon, chromium: Browser) -> None:
    with opened(chromium, java_script_enabled=False) as page:
        log_in(page, daemon)
        daemon.create("tabs", {"index.ts": HELLO, "lib/words.ts": "export const word = 'one'\n"})
        page.goto(control(daemon) + "/apps/tabs")
        assert page.get_by_label("Text of index.ts").is_visible()
        assert not page.get_by_label("Text of lib/words.ts").is_visible()
        page.get_by_text("lib/words.ts", exact=True).click()
        page.get_by_label("Text of lib/words.ts").fill("export const word = 'two'\n")
        page.get_by_title("Add a file").click()
        page.get_by_label("Path").fill("notes.md")
        page.get_by_label("Text of the new file").fill("# Notes\n")
        page.get_by_role("button", name="Deploy").click()
        page.get_by_text("Version 2 is live after").wait_for()
        assert page.get_by_label("Text of notes.md").input_value() == "# Notes\n"
        assert daemon.api("GET", "/apps/tabs/versions/2/files/lib/words.ts").text == "export const word = 'two'\n"


def test_nothing_foreign_runs_or_shows_as_markup(daemon: Daemon, chromium: Browser) -> None:
    """File names, texts, log lines (past and live), request paths and error texts that are markup stay text."""
    nasty = "<img src=x onerror=window.hit=1></textarea><script>window.hit=1</script>"
    quoted = nasty.replace("'", "")
    source = f"const nasty = '{quoted}'; console.log(nasty);\n"
    source += "export default { fetch() { console.log(nasty); return new Response('') } }\n"
    with opened(chromium) as page:
        log_in(page, daemon)
        daemon.create("nasty", {"index.ts": source, "<b onclick=window.hit=1>.txt": nasty, "x.html": nasty})
        page.goto(control(daemon) + "/apps/nasty")
        page.get_by_role("tab", name="Logs").click()
        page.get_by_text("live", exact=True).first.wait_for()
        daemon.ask("nasty", "/<script>window.hit=1</script>")
        page.get_by_role("log").get_by_text("onerror=window.hit=1").nth(1).wait_for()
        page.get_by_role("tab", name="Requests").click()
        page.get_by_role("cell", name="script").wait_for()
        write(code_of(page, "index.ts"), f"throw new Error('{quoted}')")
        page.get_by_role("button", name="Deploy").click()
        page.get_by_role("alert").get_by_text("Not deployed").wait_for()
        assert page.evaluate("window.hit") is None
        assert page.locator("main img, main script, main b[onclick]").count() == 0
        with page.expect_download() as download:
            page.evaluate("location.href = '/api/apps/nasty/versions/1/files/x.html'")
        assert download.value.suggested_filename == "x.html"


@pytest.mark.parametrize("path", ["/", "/apps", "/apps/looks", "/login", "/nowhere", "/api/docs"])
def test_every_page_fits_a_phone_and_both_schemes(daemon: Daemon, chromium: Browser, path: str) -> None:
    """No sideways scrolling at 360 pixels; text stands out from its ground in light and dark (WCAG 2.2: 4.5 to 1)."""
    if daemon.api("GET", "/apps/looks").status_code == 404:
        daemon.create("looks", {"index.ts": HELLO, "a/rather/long/path/to/a/file.ts": "x" * 500})
    for scheme in ("light", "dark"):
        with opened(chromium, color_scheme=scheme, viewport={"width": 360, "height": 740}) as page:
            log_in(page, daemon)
            page.goto(control(daemon) + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = parse(getComputedStyle(e).backgroundColor);
      if (rgb.length < 4 || rgb[3] === 1) return rgb.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!words || !element.checkVisibility() || element.closest("[aria-hidden]")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color).slice(0, 3)), light(ground(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) faint.push([ratio, element.outerHTML.slice(0, 90)]);
  }
  return faint;
}"""

ATTACK = """async (control) => {
  const tries = [];
  const go = (path, options) => tries.push(
    fetch(control + path, { mode: "no-cors", credentials: "include", ...options }).then(
      (answer) => answer.type === "opaque" || answer.type === "error" ? "hidden" : `read ${path}`,
      () => "refused"));
  const code = "export default { fetch: () => new Response('owned') }";
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    go("/api/apps?name=owned", { method: "POST", headers: { "content-type": type }, body: code });
    go("/api/apps/victim/deploys", { method: "POST", headers: { "content-type": type }, body: code });
    const form = "name=owned&source=" + encodeURIComponent(code);
    go("/apps", { method: "POST", headers: { "content-type": type }, body: form });
    for (const verb of ["stop", "restart", "rollback", "delete"]) {
      go("/api/apps/victim/" + verb, { method: "POST", headers: { "content-type": type }, body: "{}" });
      go("/apps/victim/" + verb, { method: "POST", headers: { "content-type": type }, body: "version=1&hold=1" });
    }
  }
  go("/api/apps?name=owned", { method: "POST", body: new Blob([code]) });
  go("/api/apps/victim/stop", { method: "POST" });
  const json = { "content-type": "application/json" };
  const body = JSON.stringify({ name: "owned", files: { "index.ts": code } });
  for (const method of ["POST", "PUT", "DELETE"]) {
    go("/api/apps", { mode: "cors", method, headers: json, body });
    go("/api/apps/victim", { mode: "cors", method, headers: json, body });
  }
  for (const path of ["/api/apps", "/api/me", "/api/apps/victim/logs", "/api/apps/victim", "/apps"])
    go(path, { mode: "cors" });
  navigator.sendBeacon(control + "/api/apps?name=owned", code);
  const heard = await new Promise((done) => {
    const source = new EventSource(control + "/api/apps/victim/logs?follow=1", { withCredentials: true });
    source.onopen = () => done("heard");
    source.onerror = () => done("deaf");
  });
  const spoken = await new Promise((done) => {
    const socket = new WebSocket(control.replace("http", "ws") + "/api/apps/victim/logs?follow=1");
    socket.onopen = () => done("open");
    socket.onerror = () => done("closed");
  });
  return [...await Promise.all(tries), heard, spoken];
}"""

FORM = """([action, enctype, fields]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action, enctype });
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("textarea");
    Object.assign(input, { name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""


class Elsewhere(BaseHTTPRequestHandler):
    """A page on an origin that has nothing to do with us."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><body>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("cookie", [True, False], ids=["with a cookie", "without"])
def test_no_other_page_can_create_or_change_anything(
    daemon: Daemon, chromium: Browser, elsewhere: str, cookie: bool
) -> None:
    """fetch in every disguise, beacons, forms, EventSource and WebSocket: nothing is made, changed or read. What an app
    on a sibling subdomain may try is in tests/e2e/test_cross_site.py."""
    if daemon.api("GET", "/apps/victim").status_code == 404:
        daemon.create("victim", {"index.ts": HELLO})
    before = daemon.api("GET", "/host").json()["host"]["apps"]
    code = "export default { fetch: () => new Response('owned') }"
    with opened(chromium) as page:
        if cookie:
            log_in(page, daemon)
        page.goto(elsewhere)
        outcomes = page.evaluate(ATTACK, control(daemon))
        assert set(outcomes) <= {"hidden", "refused", "deaf", "closed"}, outcomes
        forms: list[tuple[str, str, dict[str, str]]] = [
            ("/apps", "application/x-www-form-urlencoded", {"name": "owned", "source": code}),
            ("/api/apps?name=owned", "text/plain", {code + "//": ""}),
            ("/api/apps?name=owned", "multipart/form-data", {"index.ts": code}),
            ("/apps/victim/delete", "application/x-www-form-urlencoded", {}),
            ("/apps/victim/stop", "application/x-www-form-urlencoded", {"hold": "1"}),
            ("/api/apps/victim/stop", "text/plain", {'{"hold": true}//': ""}),
            ("/logout", "application/x-www-form-urlencoded", {}),
        ]
        for path, enctype, fields in forms:
            page.goto(elsewhere)
            with page.expect_navigation() as navigation:
                page.evaluate(FORM, [control(daemon) + path, enctype, fields])
            answer = navigation.value
            assert (answer.status, answer.headers["steady-error"]) == (403, "cross_site"), path
        page.goto(control(daemon) + "/apps")
        assert ("victim" in page.inner_text("main")) is cookie
    now = daemon.api("GET", "/apps/victim").json()["app"]
    assert now["version"] == 1
    assert now["state"] in ("running", "frozen"), "nobody stopped it"
    assert daemon.api("GET", "/apps/owned").status_code == 404
    assert daemon.api("GET", "/host").json()["host"]["apps"] == before


def test_the_same_calls_work_from_our_own_page(daemon: Daemon, chromium: Browser) -> None:
    """What the test above relies on: there is a session, and it may."""
    with opened(chromium) as page:
        log_in(page, daemon)
        headers = "headers: { 'content-type': 'application/json' }"
        send = f"async ([method, path, body]) => (await fetch(path, {{ method, body, {headers} }})).status"
        body = '{"name": "own", "files": {"index.ts": "export default { fetch: () => new Response(1) }"}}'
        assert page.evaluate(send, ["POST", "/api/apps", body]) == 201
        assert page.evaluate(send, ["POST", "/api/apps/own/stop", '{"hold": true}']) == 200
        until(lambda: daemon.api("GET", "/apps/own").json()["app"]["state"] == "held")


def test_an_app_cannot_plant_a_session(daemon: Daemon, chromium: Browser) -> None:
    """Cookie tossing: by header and by script, for every parent that a browser may accept."""
    cookie = f"'set-cookie': 'steady-session-{daemon.port}=evil; Domain=localhost; Path=/'"
    source = BLANK.replace("headers: {", f"headers: {{ {cookie},")
    if daemon.api("GET", "/apps/tosser").status_code == 404:
        daemon.create("tosser", {"index.ts": source})
    with opened(chromium) as page:
        log_in(page, daemon)
        page.goto(f"http://tosser.localhost:{daemon.port}")
        page.evaluate(
            "(port) => { for (const domain of ['localhost', '.localhost', `localhost:${port}`]) "
            "document.cookie = `steady-session-${port}=evil; domain=${domain}; path=/`; }",
            daemon.port,
        )
        page.goto(control(daemon) + "/apps")
        assert "operator" in page.inner_text("header")


def test_our_pages_cannot_be_framed(daemon: Daemon, chromium: Browser, elsewhere: str) -> None:
    with opened(chromium, framing=True) as page:
        page.goto(elsewhere)
        page.evaluate(
            "(url) => new Promise((done) => { const frame = document.createElement('iframe'); frame.onload = done; "
            "frame.src = url; document.body.append(frame); })",
            control(daemon),
        )
        assert "Paste a server" not in (page.frames[1].content() if len(page.frames) > 1 else "")
