"""The settings page and its forms: what they do, and that a refusal loses nothing that was typed."""

from __future__ import annotations

import re

from tests.web.conftest import HELLO, Stage, Web
from tests.web.test_forms import browser, token

PAGE = "/apps/hello/settings"
NASTY = "<img src=x onerror=hit()>\"'"


def test_settings_are_set_and_taken_back(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE), "memory": "64MiB", "idle": "", "network": "none"}
            form |= {"trial.mode": "start", "trial.health": "off", "auto_rollback": "off"}
            done = await client.post(PAGE, data=form)
            assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?done=set")
            page = await client.get(done.headers["location"])
            assert "The settings are in effect." in page.text
            assert 'value="64MiB"' in page.text
            assert '<option value="none" selected>nothing</option>' in page.text
            assert 'placeholder="15min"' in page.text
            said = (await client.get("/api/apps/hello/settings")).json()
            assert said["settings"]["trial"] == {"network": "auto", "health": False, "mode": "start", "test": False}
            assert (said["settings"]["auto_rollback"], said["sources"]["idle"]) == (False, "host")
            again = await client.post(PAGE, data=form)
            assert again.headers["location"] == f"{PAGE}?done=unchanged", "nothing differs"
            await client.post(PAGE, data=dict.fromkeys(form, "") | {"form_token": form["form_token"]})
            assert "owner" not in (await client.get("/api/apps/hello/settings")).json()["sources"].values()

    web(body)


def test_refused_settings_are_shown_as_they_were_typed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE), "memory": f"lots{NASTY}", "cpus": "0.5"}
            page = await client.post(PAGE, data=form)
            assert page.status_code == 422
            assert "is not a size" in page.text
            assert 'value="lots&lt;img' in page.text
            assert "<img" not in page.text
            assert 'value="0.5"' in page.text
            assert 'aria-invalid="true"' in page.text
            assert "owner" not in (await client.get("/api/apps/hello/settings")).json()["sources"].values()

    web(body)


def test_variables_are_set_and_marked_and_removed_and_never_shown(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        environment = stage.rooms.library.environment
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE)}
            lines = {"env": "export API_KEY='hush 1'\r\nGREETING=hush\r\nHUSHED=x", "context": "production"}
            done = await client.post("/apps/hello/env", data=form | lines | {"mark:HUSHED": "secret"})
            assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?done=env#env")
            page = await client.get(f"{PAGE}?done=env")
            assert "The variables are in effect." in page.text
            assert "hush" not in page.text
            for words in ("Not secret: API_KEY", "Secret: GREETING", "Not secret: HUSHED"):
                assert words in page.text
            await client.post("/apps/hello/env", data=form | {"plain": "API_KEY", "env": ""})
            assert "Secret: API_KEY" in (await client.get(PAGE)).text
            assert (await environment.values(app.id, "production"))["API_KEY"] == "hush 1"
            await client.post("/apps/hello/env", data=form | {"env": "GREETING=trial's", "context": "trial"})
            assert "<td>production, trial</td>" in (await client.get(PAGE)).text
            await client.post("/apps/hello/env", data=form | {"remove": "GREETING", "env": "", "context": "trial"})
            assert await environment.values(app.id, "trial") == {"API_KEY": "hush 1", "HUSHED": "x"}

    web(body)


def test_a_variable_without_a_value_is_named_until_it_has_one(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        await stage.rooms.library.blanks.leave(app.id, {"API_KEY": True, "OTHER": False}, 1.0)
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE)}
            assert (await client.get(PAGE)).text.count("no value yet") == 2
            await client.post("/apps/hello/env", data=form | {"env": "API_KEY=1"})
            await client.post("/apps/hello/env", data=form | {"remove": "OTHER"})
            assert "no value yet" not in (await client.get(PAGE)).text

    web(body)


def test_refused_variables_stay_as_they_were_typed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE), "context": "preview"}
            for lines, said in (("A=1\nnothing", "Line 2 "), ("PORT=1", "cannot be set")):
                page = await client.post("/apps/hello/env", data=form | {"env": lines})
                assert (page.status_code, said in page.text, lines in page.text) == (422, True, True)
                assert "<option selected>preview" in page.text
            page = await client.post("/apps/hello/env", data=form | {"env": f"A=1\n</textarea>{NASTY}"})
            assert page.text.count("</textarea>") == page.text.count("<textarea")
            assert (await client.get("/api/apps/hello/env")).json() == {"env": {}}

    web(body)


def test_a_token_is_shown_once_and_works(web: Web) -> None:
    """The curl line takes all files along: sent alone, the entry would be the whole next version."""

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as program:
            files = {"index.ts": HELLO.decode(), "lib.ts": "", "bun.lock": "{}"}
            await program.post("/api/apps", json={"name": "two", "files": files})
        async with await browser(stage) as client:
            page = (await client.post("/apps/hello/token", data={"form_token": await token(client, PAGE)})).text
            found = re.search(r"steady_[\w-]+", page)
            assert found
            assert "--data-binary @index.ts http://localhost:8080/api/apps/hello" in page
            assert "steady_" not in (await client.get(PAGE)).text
            assert "tar -cz . | curl" in (await client.get("/apps/two/settings")).text
        async with stage.client(found[0]) as program:
            assert (await program.put("/api/apps/hello", content=HELLO)).status_code == 201

    web(body)


def test_another_name(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE)}
            assert "for 30 days" in (await client.get(PAGE)).text
            page = await client.post("/apps/hello/rename", data=form | {"new_name": f"No{NASTY}"})
            assert (page.status_code, page.headers.get("steady-error"), "<img" in page.text) == (422, None, False)
            assert 'value="No&lt;img' in page.text
            done = await client.post("/apps/hello/rename", data=form | {"new_name": "other"})
            assert done.headers["location"] == "/apps/other/settings?done=renamed#name"
            assert "It has its new name" in (await client.get("/apps/other/settings?done=renamed")).text
            assert (await client.get("/apps/hello")).headers["location"] == "/apps/other"

    web(body)


def test_deleted_it_is_offered_back_at_once_and_purged_only_by_its_name(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            form = {"form_token": await token(client, PAGE)}
            done = await client.post("/apps/hello/delete", data=form)
            assert done.headers["location"] == "/apps?deleted=hello"
            apps = (await client.get(done.headers["location"])).text
            assert re.search(r'role="status".*hello is deleted.*action="/apps/hello/undelete"', apps, re.S)
            await client.post("/apps/hello/undelete", data=form)
            assert (await client.get("/apps?deleted=hello")).text.count("is deleted.") == 0
            for typed in ("", "hell", NASTY):
                kept = await client.post("/apps/hello/purge", data=form | {"confirm": typed})
                assert (kept.status_code, "Nothing was removed" in kept.text) == (422, True)
            await client.post("/apps/hello/delete", data=form)
            page = (await client.get(PAGE)).text
            assert "Purge hello" in page
            assert 'id="env"' not in page
            done = await client.post("/apps/hello/purge", data=form | {"confirm": "hello"})
            assert (done.status_code, await stage.rooms.apps.by_name("hello")) == (303, None)

    web(body)


def test_a_guest_is_told_how_to_keep_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        guest = await stage.rooms.people.add_guest(0.0)
        await stage.app("hello", await stage.rooms.people.add_token(guest, "test", 0.0))
        secret = await stage.rooms.people.add_session(guest, stage.rooms.now())
        async with stage.client(accept="text/html", cookie=f"__Host-steady-session-8080={secret}") as client:
            page = (await client.get(PAGE)).text
        assert "Sign up to keep it" in page
        assert "It is temporary: it stops in 7 days" in page or "It is temporary: it stops in 6 days" in page

    web(body)


def test_a_test_notice_without_an_address_is_refused_here(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with await browser(stage) as client:
            page = await client.post("/apps/hello/notify/test", data={"form_token": await token(client, PAGE)})
            assert (page.status_code, 'id="notices"' in page.text) == (422, True)
            refused = await client.post(PAGE, data={"form_token": await token(client, PAGE), "notify": "ftp://x"})
            assert (refused.status_code, 'value="ftp://x"' in refused.text) == (422, True)

    web(body)


def test_it_is_the_owners_alone(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", await stage.guest())
        async with stage.client(accept="text/html") as client:
            assert (await client.get(PAGE)).status_code == 404

    web(body)
