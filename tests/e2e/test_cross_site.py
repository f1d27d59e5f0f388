"""A page of a stranger's app beside ours, in the browser of an operator who is logged in: it tries everything.

The addresses come from the control plane's own routes, so that a new call or form is tried from its first day.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from steadyd.web.app import build
from tests.served import Daemon, data_folder, remove
from tests.web.conftest import Stage, Web, built_engine, web
from tests.web.test_browser import BLANK, CHROMIUM, HELLO, Browser, Page, control, log_in, opened, sync_api
from tests.web.test_browser import pytestmark as needs_chromium

__all__ = ["built_engine", "web"]

pytestmark = needs_chromium

VALUES = {
    "name": "victim", "n": "1", "m": "1", "path": "index.ts", "id": "1", "file": "data.sqlite", "username": "operator",
    "point": "1", "link": "x", "secret": "x", "host": "x.example", "column": "x", "table": "x", "rowid": "1",
}  # fmt: skip
FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b")
"""What a form, and a script that asks nobody, can send."""
UNCHANGED = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
COMES_BY_ITSELF = {"captures", "contents", "stands", "lines", "points", "epochs", "absences", "engines", "drills"}
"""Tables that a daemon writes of its own accord, whoever asks."""


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: VALUES.get(found[1], "1"), path)


def addresses(web: Web) -> tuple[list[tuple[str, str]], list[str]]:
    """(method, path) of all that changes something, and the paths of all that can be looked at."""
    found: list[Any] = []

    async def body(stage: Stage) -> None:
        found.extend(build(stage.rooms).routes)

    with ThreadPoolExecutor() as pool:  # this thread has an event loop, Playwright's
        pool.submit(web, body).result()
    changes, looks = set(), set()
    for route in found:
        for method in getattr(route, "methods", None) or ():
            if method in ("GET", "HEAD"):
                looks.add(filled(route.path))
            elif method != "OPTIONS":
                changes.add((method, filled(route.path)))
    return sorted(changes), sorted(looks)


def records(daemon: Daemon) -> dict[str, list[Any]]:
    """All that is in steady.db, but for what comes by itself."""
    with closing(sqlite3.connect(f"file:{daemon.data / 'steady.db'}?mode=ro", uri=True)) as db:
        names = [name for (name,) in db.execute(UNCHANGED) if name not in COMES_BY_ITSELF]
        return {name: db.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in names}


FETCHES = """async ([control, changes, looks, forms]) => {
  const heard = [];
  const go = (path, options) => fetch(control + path, { credentials: "include", ...options }).then(
    (answer) => answer.type === "opaque" ? "hidden" : `read ${path}: ${answer.status}`, () => "refused");
  const tries = [];
  for (const [method, path] of changes) {
    for (const type of forms)
      tries.push(["POST", path, { mode: "no-cors", headers: { "content-type": type }, body: "{}" }]);
    tries.push([method, path, { mode: "cors", headers: { "content-type": "application/json" }, body: "{}" }]);
  }
  for (const path of looks) tries.push(["GET", path, { mode: "cors" }], ["GET", path, { mode: "no-cors" }]);
  const outcomes = new Set();
  const worker = async () => {
    for (let one = tries.pop(); one; one = tries.pop())
      outcomes.add(await go(one[1], { method: one[0], signal: AbortSignal.timeout(1_500), ...one[2] }));
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  return [...outcomes];
}"""

LOADS = """async (control) => {
  const seen = {};
  const load = (tag, more) => new Promise((done) => {
    const element = Object.assign(document.createElement(tag), more);
    element.onload = () => done("loaded");
    element.onerror = () => done("refused");
    document.body.append(element);
  });
  const api = control + "/api/apps";
  seen.script = await load("script", { src: api });
  seen.style = await load("link", { rel: "stylesheet", href: api });
  seen.image = await load("img", { src: api });
  seen.ours = await load("script", { src: control + "/api/openapi.json" });
  seen.events = await new Promise((done) => {
    const source = new EventSource(control + "/api/apps/victim/logs?follow=1", { withCredentials: true });
    source.onopen = () => done("heard");
    source.onerror = () => { source.close(); done("refused"); };
  });
  seen.socket = await new Promise((done) => {
    const socket = new WebSocket(control.replace("http", "ws") + "/api/apps/victim/logs?follow=1");
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
  seen.worker = await navigator.serviceWorker.register(control + "/static/page.js").then(() => "in", () => "refused");
  const opened = window.open(control + "/apps");
  await new Promise((done) => setTimeout(done, 300));
  let reach = "refused";
  try { reach = opened.document.title; } catch { /* as it should be */ }
  seen.opened = opened && !opened.closed ? reach : "refused";
  seen.cookies = document.cookie;
  return seen;
}"""

SANDBOXED = """async ([control, path]) => {
  const source = `<form method=post action="${control}${path}"><input name=a value=b></form>`
    + "<script>document.forms[0].submit()<" + "/script>";
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts allow-forms";
  frame.srcdoc = source;
  document.body.append(frame);
  await new Promise((done) => setTimeout(done, 500));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For it every .test name is this machine."""
    with sync_api.sync_playwright() as playwright:
        words = ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=words)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Daemon]:
    data = data_folder()
    daemon = Daemon(data)
    try:
        daemon.create("victim", {"index.ts": HELLO})
        daemon.create("attacker", {"index.ts": BLANK})
        yield daemon
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(data)


def attacker(daemon: Daemon) -> str:
    return f"http://attacker.localhost:{daemon.port}"


class Answers:
    """What the browser was answered, also where it hides that from the page: (method, URL, status, code)."""

    def __init__(self, page: Page) -> None:
        self.all: list[tuple[str, str, int, str]] = []
        self._asked: dict[str, tuple[str, str]] = {}
        wire = page.context.new_cdp_session(page)
        wire.on("Network.requestWillBeSent", self._begin)
        wire.on("Network.responseReceivedExtraInfo", self._end)
        wire.send("Network.enable")

    def _begin(self, event: dict[str, Any]) -> None:
        self._asked[event["requestId"]] = (event["request"]["method"], event["request"]["url"])

    def _end(self, event: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in event["headers"].items()}
        asked = self._asked.get(event["requestId"], ("", ""))
        self.all.append((*asked, event["statusCode"], headers.get("steady-error", "")))

    def changes(self) -> list[tuple[str, str, int, str]]:
        return [one for one in self.all if one[0] not in ("GET", "HEAD", "OPTIONS", "")]


def test_every_write_is_refused_and_every_read_is_a_strangers(neighbour: Daemon, chromium: Browser, web: Web) -> None:
    changes, looks = addresses(web)
    assert len(changes) > 80
    with opened(chromium, framing=True) as page:
        log_in(page, neighbour)
        page.goto(control(neighbour) + "/apps")
        before = records(neighbour)
        answers = Answers(page)
        page.goto(attacker(neighbour))
        outcomes = page.evaluate(FETCHES, [control(neighbour), changes, looks, FORMS])
        assert set(outcomes) <= {"hidden", "refused"}, outcomes
        page.evaluate(SANDBOXED, [control(neighbour), "/apps/victim/delete"])
        refused = answers.changes()
        tried = {url.removeprefix(control(neighbour)) for _, url, _, _ in refused}
        assert tried >= {path for _, path in changes}
        assert {(status, code) for _, _, status, code in refused} == {(403, "cross_site")}
        strangers = {status for method, url, status, _ in answers.all if method == "GET" and "/api/apps/victim/" in url}
        assert strangers <= {404, 400, 401, 405, 422}, "not even the status tells what the person may see"
        assert records(neighbour) == before
        page.goto(control(neighbour) + "/apps")
        assert "victim" in page.inner_text("main")


def test_nothing_of_ours_is_loaded_opened_or_heard(neighbour: Daemon, chromium: Browser) -> None:
    with opened(chromium, framing=True) as page:
        log_in(page, neighbour)
        page.goto(attacker(neighbour))
        seen = page.evaluate(LOADS, control(neighbour))
        assert seen.pop("cookies") == ""
        assert set(seen.values()) == {"refused"}, seen


JUNK = """([domains, count = 100]) => {
  const big = "x".repeat(3_900);
  for (let number = 0; number < count; number++)
    for (const domain of domains) document.cookie = `junk${number}=${big}; domain=${domain}; path=/`;
  for (const domain of domains)
    for (const name of ["steady-session", "__Host-steady-session", "steady-visitor"])
      for (const port of ["", "-" + location.port]) {
        document.cookie = `${name}${port}=evil; domain=${domain}; path=/`;
        document.cookie = `${name}${port}=evil; domain=${domain}; path=/apps`;
      }
  return document.cookie.split("junk").length - 1;
}"""


def session_cookies(page: Page) -> list[dict[str, Any]]:
    return [one for one in page.context.cookies() if "session" in one["name"] and one["value"] != "evil"]


def test_junk_cookies_and_planted_ones_lock_nobody_out(neighbour: Daemon, chromium: Browser) -> None:
    """Here every host is this machine, so the cookie's name begins with `__Host-`, and comes back."""
    with opened(chromium, framing=True) as page:
        log_in(page, neighbour)
        (mine,) = session_cookies(page)
        assert mine["name"] == f"__Host-steady-session-{neighbour.port}"
        assert (mine["secure"], mine["httpOnly"], mine["domain"]) == (True, True, "localhost")
        page.goto(attacker(neighbour))
        page.evaluate(JUNK, [["localhost", ".localhost", "attacker.localhost"]])
        page.goto(control(neighbour) + "/apps")
        assert "victim" in page.inner_text("main")
        assert session_cookies(page) == [mine]


@contextmanager
def named(*options: str) -> Iterator[Daemon]:
    data = data_folder()
    daemon = Daemon(data, *options)
    try:
        yield daemon
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(data)


def enter(page: Page, daemon: Daemon, origin: str) -> None:
    """Log in by form."""
    page.goto(origin + "/login")
    page.get_by_label("Token").fill(daemon.token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/apps")


def test_beside_apps_on_plain_http_a_planted_cookie_still_locks_nobody_out(chromium: Browser) -> None:
    """No browser guards a cookie there, and the page says so; planted ones are told from the owner's."""
    domain = "example.test"
    with named("--control-domain", f"control.{domain}", "--app-domain", domain) as daemon:
        origin = f"http://control.{domain}:{daemon.port}"
        headers = {"Host": f"control.{domain}:{daemon.port}"}
        made = daemon.api("POST", "/apps", json={"name": "attacker", "files": {"index.ts": BLANK}}, headers=headers)
        assert made.status_code == 201, made.text
        with opened(chromium, framing=True) as page:
            page.goto(origin + "/login")
            assert "displace" in page.inner_text("main")
            enter(page, daemon, origin)
            (mine,) = session_cookies(page)
            assert (mine["name"], mine["httpOnly"]) == (f"steady-session-{daemon.port}", True)
            page.goto(f"http://attacker.{domain}:{daemon.port}")
            assert page.evaluate(JUNK, [[domain]]) == 100, "the browser lets a page plant them"
            planted = [one for one in page.context.cookies() if one["value"] == "evil"]
            assert {one["name"] for one in planted} >= {mine["name"]}
            page.goto(origin + "/apps")
            assert "attacker" in page.inner_text("main")
            # More than a browser keeps for a domain: the owner's own may go, and the way back in stays open.
            page.goto(f"http://attacker.{domain}:{daemon.port}")
            page.evaluate(JUNK, [[domain], 400])
            page.context.clear_cookies(name=mine["name"], domain=f"control.{domain}")
            page.goto(origin + "/apps")
            assert page.get_by_role("button", name="Log in").is_visible()
            enter(page, daemon, origin)
            assert "attacker" in page.inner_text("main")


def test_control_plane_and_apps_under_names_that_have_nothing_in_common(chromium: Browser) -> None:
    with named("--control-domain", "control.test", "--app-domain", "apps.another.test") as daemon:
        origin = f"http://control.test:{daemon.port}"
        headers = {"Host": f"control.test:{daemon.port}"}
        files = {"index.ts": HELLO}
        made = daemon.api("POST", "/apps", json={"name": "first", "files": files}, headers=headers).json()
        url = made["app"]["url"]
        assert url == f"http://first.apps.another.test:{daemon.port}"
        with opened(chromium) as page:
            enter(page, daemon, origin)
            answer = page.goto(origin + "/apps/first")
            allowed = re.search(r"frame-src ([^;]*)", answer.headers["content-security-policy"])
            assert allowed
            assert f"http://*.apps.another.test:{daemon.port}" in allowed[1].split()
            page.goto(url)
            assert page.inner_text("body") == "hello"
            assert page.goto(f"http://first.control.test:{daemon.port}").status == 404
            assert page.goto(f"http://apps.another.test:{daemon.port}/apps").status == 404
