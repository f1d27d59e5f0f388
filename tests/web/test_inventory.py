"""The page of one's apps, as a browser without scripts gets it."""

from __future__ import annotations

import re
import time

from steadyd.runner.core import Core
from steadyd.web.inventory import DELETED_SHOWN_MAX
from steadyd.web.listing import PAGE_MAX
from tests.web.conftest import Stage, Web

MANY = 500
PAGE_SECONDS_MAX = 0.05
"""Of processor time, which does not depend on who else is at work on the machine."""


async def log_in(stage: Stage) -> str:
    """A cookie of the operator's session."""
    return f"__Host-steady-session-8080={await stage.rooms.people.add_session(stage.operator, stage.rooms.now())}"


def names(page: str) -> list[str]:
    return re.findall(r'<a href="/apps/([a-z0-9-]+)"><strong>', page)


def test_it_shows_what_is_used_of_what_may_be_and_how_long_it_stays(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as guest:
            made = await guest.post("/api/apps?name=hello", content=b"export default { fetch: () => new Response('') }")
            assert made.status_code == 201
            app = await stage.rooms.apps.by_name("hello")
            assert app is not None
            stage.rooms.requests.lately.add(app.id, [stage.rooms.now()] * 3)
            page = (await guest.get("/apps")).text
            assert re.search(r"[\d.]+ MiB of 256 MiB memory", page) or re.search(r"[\d.]+ MiB of 128 MiB memory", page)
            assert "3 requests in the last hour" in page
            assert re.search(r"temporary: (7|6) days left", page)
            assert "running 1" in page

    web(body)


def test_it_is_searched_sorted_and_comes_by_the_page_in_time(web: Web) -> None:
    async def body(stage: Stage) -> None:
        for number in range(MANY):
            await stage.rooms.apps.create(f"app-{number:04}", stage.operator, False, stage.rooms.now() + number)
        async with stage.client(cookie=await log_in(stage)) as browser:
            assert names((await browser.get("/apps")).text)[0] == f"app-{MANY - 1:04}"
            first = (await browser.get("/apps?sort=name")).text
            assert names(first) == [f"app-{number:04}" for number in range(PAGE_MAX)]
            after = re.findall(r'rel="next" href="([^"]+)"', first)[0].replace("&amp;", "&")
            assert names((await browser.get(after)).text)[0] == f"app-{PAGE_MAX:04}"
            assert names((await browser.get("/apps?q=0123")).text) == ["app-0123"]
            assert "No app of yours is like that" in (await browser.get("/apps?state=running")).text
            nasty = (await browser.get("/apps?q=%22%3E%3Cscript%3Ex")).text
            assert "<script>x" not in nasty
            took = []
            for _ in range(10):
                began = time.process_time()
                await browser.get("/apps")
                took.append(time.process_time() - began)
        assert min(took) < PAGE_SECONDS_MAX

    web(body)


def test_deleted_apps_come_back_from_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as operator:
            for number in range(DELETED_SHOWN_MAX + 1):
                await stage.app(f"old-{number}")
                await operator.delete(f"/api/apps/old-{number}")
        async with stage.client(cookie=await log_in(stage)) as browser:
            page = (await browser.get("/apps")).text
            assert page.count('aria-label="Bring back') == DELETED_SHOWN_MAX
            assert f"All {DELETED_SHOWN_MAX + 1} deleted" in page
            assert (await browser.get("/apps?state=deleted")).text.count('aria-label="Bring back') == 7

    web(body)


def test_the_operator_sees_the_hosts_own(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage.rooms.fleet.core = Core("control", stage.operator, stage.rooms.now(), lambda: 0)
        async with stage.client(cookie=await log_in(stage)) as browser:
            assert 'href="/apps/steady"' in (await browser.get("/apps")).text
        guest = await stage.rooms.people.add_guest(0.0)
        cookie = f"__Host-steady-session-8080={await stage.rooms.people.add_session(guest, stage.rooms.now())}"
        async with stage.client(cookie=cookie) as browser:
            assert "/apps/steady" not in (await browser.get("/apps")).text

    web(body)
