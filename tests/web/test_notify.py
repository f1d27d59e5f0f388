"""Where notices go, through the API and the page, and whether a test of them arrives."""

from __future__ import annotations

import json

import pytest

from steadyd.notices import Notices
from steadyd.web.rate import RateLimit
from steadyd.web.rooms import TESTS_PER_HOUR_MAX
from tests.receiver import HOST, Receiver, receiver
from tests.web.conftest import Stage, Web, code, form_token
from tests.web.test_pages import log_in

NTFY = "https://ntfy.sh/my-topic"


def reaching(stage: Stage, there: Receiver) -> Stage:
    """The same control plane, whose notices may reach the receiver."""
    rooms = stage.rooms
    notices = Notices(rooms.apps, rooms.people, rooms.urls, there.post(), "test-host", lambda app_id, text: None)
    return stage.rebuilt(notices=notices)


def test_everybody_says_where_their_own_notices_go(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as mine, stage.client(await stage.guest()) as theirs:
            assert (await mine.get("/api/me")).json()["user"]["notify"] == ""
            changed = await mine.patch("/api/me", json={"notify": NTFY})
            assert (changed.status_code, changed.json()["user"]["notify"]) == (200, NTFY)
            assert (await mine.get("/api/me")).json()["user"]["notify"] == NTFY
            assert (await theirs.get("/api/me")).json()["user"]["notify"] == ""
            assert (await mine.patch("/api/me", json={})).json()["user"]["notify"] == NTFY, "nothing was said of it"
            assert (await mine.patch("/api/me", json={"notify": None})).json()["user"]["notify"] == ""
        async with stage.client() as nobody:
            assert code(await nobody.patch("/api/me", json={"notify": NTFY})) == "unauthorized"

    web(body)


@pytest.mark.parametrize("url", ["http://plain.example", "https://user:pass@a.example/", "nonsense", "https://a\nb"])
def test_an_address_that_is_none_is_refused(web: Web, url: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            refused = await client.patch("/api/me", json={"notify": url})
            assert (refused.status_code, code(refused)) == (422, "invalid")
            assert refused.json()["error"]["details"] == {"field": "notify"}

    web(body)


def test_a_test_says_what_became_of_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with receiver() as there:
            stage = reaching(stage, there)
            await stage.app("hello")
            async with stage.client(stage.operator_token) as client:
                for path in ("/api/me/notify/test", "/api/apps/hello/notify/test"):
                    assert code(await client.post(path)) == "invalid"
                await client.patch("/api/me", json={"notify": there.url})
                for path in ("/api/me/notify/test", "/api/apps/hello/notify/test"):
                    sent = await client.post(path)
                    assert sent.json() == {"sent": {"host": HOST, "status": 204}}, sent.text
                abouts = [json.loads(content)["about"] for _, content in there.taken]
                assert abouts == ["test-host", "hello"]
                there.answers = [b"HTTP/1.1 404 No\r\n\r\n"]
                refused = await client.post("/api/me/notify/test")
                assert (refused.status_code, code(refused)) == (502, "notify_failed")
            async with stage.client(await stage.guest()) as other:
                assert code(await other.post("/api/apps/hello/notify/test")) == "not_found"

    web(body)


def test_a_private_address_is_never_reached(web: Web) -> None:
    """With the door as the daemon builds it."""

    async def body(stage: Stage) -> None:
        async with receiver() as there, stage.client(stage.operator_token) as client:
            await client.patch("/api/me", json={"notify": f"https://127.0.0.1:{there.port}/"})
            refused = await client.post("/api/me/notify/test")
            assert code(refused) == "notify_failed"
            assert "not on the public internet" in refused.json()["error"]["message"]
            assert there.taken == []

    web(body)


def test_tests_are_so_many_an_hour(web: Web) -> None:
    async def body(stage: Stage) -> None:
        stage = stage.rebuilt(tests=RateLimit(2, "test notices"))
        assert stage.rooms.tests is not None
        assert TESTS_PER_HOUR_MAX > 2
        async with stage.client(stage.operator_token) as client:
            codes = [code(await client.post("/api/me/notify/test")) for _ in range(3)]
        assert codes == ["invalid", "invalid", "rate_limited"]

    web(body)


def test_the_pages_button(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with receiver() as there:
            stage = reaching(stage, there)
            await stage.app("hello")
            async with stage.client(cookie=await log_in(stage)) as browser:
                page = (await browser.get("/apps/hello/settings")).text
                assert 'action="/apps/hello/notify/test' in page
                form = {"form_token": form_token(page)}
                unset = await browser.post("/apps/hello/notify/test", data=form)
                assert (unset.status_code, "No address is set" in unset.text) == (422, True)
                await browser.post("/apps/hello/settings", data={**form, "notify": there.url})
                sent = await browser.post("/apps/hello/notify/test", data=form)
                there_again = "/apps/hello/settings?done=notified#notices"
                assert (sent.status_code, sent.headers["location"]) == (303, there_again)
                assert "was taken" in (await browser.get(sent.headers["location"])).text
                assert len(there.taken) == 1
                assert (await browser.post("/apps/hello/notify/test", data={"form_token": "0"})).status_code == 403

    web(body)
