"""What somebody wrote is never markup: every page and every form's answer, with markup in every text.

The pages come from the control plane's own routes and from their links, so a new one is looked at from its first day.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import httpx
import pytest

from steadyd.records.requests import Request
from tests.web import corpus
from tests.web.conftest import Stage, Web
from tests.web.corpus import HREF, NAME, PROBE, SHORT, Page

PAGES_MAX = 160
VALUES = {
    "name": NAME, "n": "1", "m": "2", "file": "data.sqlite", "path": corpus.FILE, "table": PROBE, "id": "1",
    "cron": "tick", "link": SHORT, "secret": SHORT, "username": "operator",
}  # fmt: skip
LEFT_OUT = re.compile(r"^/(api|static|healthz|metrics)(/|$)|/live($|\?)")
"""No pages, or ones that never end."""
ENDS = re.compile(r"/(delete|purge|logout|rename|suspend|claim|stop)$|/account/delete|/sessions$")
"""Forms that would take away what is looked at."""


async def write_it_all(stage: Stage, client: httpx.AsyncClient) -> None:
    for method, path, body, statuses in corpus.CALLS:
        answer = await client.request(method, f"/api{path}", json=body)
        assert answer.status_code in statuses, (method, path, answer.text[:300])
    app = await stage.rooms.apps.by_name(NAME)
    assert app is not None
    asked = Request(0, stage.rooms.now(), SHORT, "GET", f"/{SHORT}", 500, "app_died", "192.0.2.1", 1, 2, 3, 4, 5)
    stage.rooms.requests.store(app.id, [asked])
    await stage.rooms.people.add_session(stage.operator, stage.rooms.now(), PROBE, "192.0.2.1")
    await stage.settled()


def places(stage: Stage) -> list[str]:
    """Every page's address, with markup for what is searched and asked for."""
    found = []
    for route in stage.web.routes:
        path = getattr(route, "path", "")
        if "GET" in (getattr(route, "methods", None) or ()) and not LEFT_OUT.search(path):
            filled = re.sub(r"\{(\w+)(?::\w+)?\}", lambda name: quote(VALUES.get(name[1], PROBE)), path)
            found += [filled, f"{filled}?q={quote(PROBE)}&at={quote(PROBE)}&next={quote(HREF)}&table={quote(PROBE)}"]
    return [*found, f"/{quote(PROBE)}", f"/apps/{quote(SHORT)}"]


async def look(client: httpx.AsyncClient, address: str) -> Page | None:
    answer = await client.get(address)
    assert answer.status_code < 500, (address, answer.text[-500:])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], address
    assert "unsafe-inline" not in answer.headers["content-security-policy"], address
    assert answer.headers["referrer-policy"] == "same-origin"
    location = answer.headers.get("location", "/")
    assert not location.lower().startswith(("javascript", "//", "data")), address
    if not answer.headers.get("content-type", "").startswith("text/html"):
        return None
    page = Page(answer.text)
    assert page.complaints == [], (address, page.complaints)
    return page


async def send_everything(client: httpx.AsyncClient, page: Page) -> None:
    """Each form of a page, with markup in each of its fields."""
    for form in page.forms:
        if ENDS.search(urlsplit(form.action).path):
            continue
        sent = {
            name: value if name == "form_token" or kind in ("hidden", "submit", "button") else PROBE
            for name, (kind, value) in form.fields.items()
        }
        answer = await client.post(form.action, data=sent)
        assert answer.status_code != 500, (form.action, answer.text[-500:])
        if answer.headers.get("content-type", "").startswith("text/html"):
            complaints = Page(answer.text).complaints
            assert complaints == [], (form.action, complaints)


@pytest.mark.slow
def test_nothing_that_somebody_wrote_is_markup_on_any_page(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as writer:
            await write_it_all(stage, writer)
        async with stage.client(accept="text/html", **{"user-agent": PROBE, "x-forwarded-for": "127.0.0.1"}) as client:
            client.cookies.set(
                "__Host-steady-session-8080",
                await stage.rooms.people.add_session(stage.operator, stage.rooms.now(), PROBE),
            )
            waiting, seen, forms = places(stage), list[str](), dict[str, Page]()
            while waiting and len(seen) < PAGES_MAX:
                address = waiting.pop(0)
                path = address.partition("?")[0]
                if address in seen or LEFT_OUT.search(path) or [one.partition("?")[0] for one in seen].count(path) > 6:
                    continue
                seen.append(address)
                page = await look(client, address)
                if page is not None:
                    waiting += sorted(page.links)
                    forms.update({form.action: page for form in page.forms})
            assert len(seen) > 50
            shown = (await client.get(f"/apps/{NAME}")).text
            assert "xss-probe" in shown, "there is something to see"
            for page in {id(page): page for page in forms.values()}.values():
                await send_everything(client, page)

    web(body)


def test_what_is_not_ours_is_found() -> None:
    for text in (PROBE, f"<a href='{HREF}'>x</a>", f"<p title='{SHORT}'>", "<script>xss</script>", "<!-- xss -->"):
        assert Page(f"<p>{text}</p>").complaints, text
    assert Page("<p>&lt;xss-probe&gt;</p><script src=/a.js></script>").complaints == []


def test_a_file_of_a_version_is_a_download_that_nothing_of_runs(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app(NAME)
        files = {"page.html": "<script>xss=1</script>", "a.svg": "<svg onload=xss=1>", "b.js": "xss=1"}
        async with stage.client(stage.operator_token) as client:
            await client.post(f"/api/apps/{NAME}/deploys", json={"merge": True, "files": files})
            for path in files:
                answer = await client.get(f"/api/apps/{NAME}/versions/2/files/{path}")
                assert answer.headers["content-disposition"].startswith("attachment")
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "sandbox" in answer.headers["content-security-policy"]

    web(body)
