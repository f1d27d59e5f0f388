"""Accounts through the API: as a browser, with its cookies."""

from __future__ import annotations

from steadyd.web.rate import RateLimit
from tests.web.conftest import CLIENT, CONTROL, HELLO, Stage, Web, code

ADA = {"username": "ada", "password": "correct horse"}


def test_sign_up_log_out_and_in_again(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(**{"user-agent": "Firefox"}) as browser:
            made = await browser.post("/api/users", json={**ADA, "email": "ada@example.org"})
            assert made.status_code == 201
            assert "HttpOnly" in made.headers["set-cookie"]
            assert "correct horse" not in made.text
            me = (await browser.get("/api/me")).json()
            assert me == made.json()
            assert (me["user"]["name"], me["user"]["kind"]) == ("ada", "user")
            assert (await browser.delete("/api/sessions/current")).status_code == 204
            assert code(await browser.get("/api/me")) == "unauthorized"
            assert (await browser.delete("/api/sessions/current")).status_code == 204
            assert code(await browser.post("/api/sessions", json={**ADA, "password": "wrong"})) == "unauthorized"
            again = await browser.post("/api/sessions", json=ADA)
            assert (again.status_code, again.json()) == (201, me)
            assert (await browser.get("/api/me")).json() == me
            assert code(await browser.post("/api/users", json=ADA)) == "name_taken"

    web(body)


def test_a_guest_who_signs_up_keeps_what_they_made(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as browser:
            files = {"files": {"index.ts": HELLO.decode()}}
            made = (await browser.post("/api/apps", json={"name": "hello", **files})).json()
            assert made["app"]["temporary"]
            assert (await browser.post("/api/users", json=ADA)).status_code == 201
            app = (await browser.get("/api/apps/hello")).json()["app"]
            assert (app["owner"], app["temporary"], app["expires_at"]) == ("ada", False, None)
            assert app["limits"]["memory_bytes"] == 256 << 20
            assert len((await browser.get("/api/sessions")).json()["sessions"]) == 1
        async with stage.client(made["token"]) as program:  # whoever was shown it may not be the user
            assert code(await program.get("/api/me")) == "unauthorized"
        async with stage.client() as browser:
            await browser.post("/api/apps", json={"name": "second", **files})
            await browser.post("/api/sessions", json=ADA)
            assert [app["name"] for app in (await browser.get("/api/apps")).json()["apps"]] == ["second", "hello"]

    web(body)


def test_a_program_signs_up_with_a_guests_token(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as program:
            made = (await program.post("/api/apps?name=hello", content=HELLO)).json()
        async with stage.client(made["token"]) as program:
            assert (await program.post("/api/users", json=ADA)).status_code == 201
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        assert app.owner_name == "ada"

    web(body)


def test_sessions_are_ones_own_to_list_and_to_end(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(**{"user-agent": "One"}) as one, stage.client(**{"user-agent": "Two"}) as two:
            await one.post("/api/users", json=ADA)
            await two.post("/api/sessions", json=ADA)
            found = (await two.get("/api/sessions")).json()["sessions"]
            assert {(session["agent"], session["current"]) for session in found} == {("One", False), ("Two", True)}
            other = next(session["id"] for session in found if not session["current"])
            async with stage.client(await stage.guest()) as stranger:
                assert code(await stranger.delete(f"/api/sessions/{other}")) == "not_found"
            assert (await two.delete(f"/api/sessions/{other}")).status_code == 204
            assert code(await one.get("/api/me")) == "unauthorized"
            assert code(await two.delete(f"/api/sessions/{other}")) == "not_found"
            await one.post("/api/sessions", json=ADA)
            assert {session["address"] for session in (await two.get("/api/sessions")).json()["sessions"]} == {CLIENT}
            assert [(await two.delete("/api/sessions")).json() for _ in range(2)] == [{"ended": 1}, {"ended": 0}]
            assert code(await one.get("/api/me")) == "unauthorized"
            assert (await two.get("/api/me")).status_code == 200

    web(body)


def test_a_reset_sets_a_password_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as browser:
            await browser.post("/api/users", json=ADA)
            secret, _ = await stage.rooms.library.accounts.add_reset("ada", stage.rooms.now())
            short = await browser.post("/api/passwords", json={"reset": secret, "password": "short"})
            assert code(short) == "invalid"
            new = {"reset": secret, "password": "battery staple"}
            assert (await browser.post("/api/passwords", json=new)).json()["user"]["name"] == "ada"
            assert code(await browser.post("/api/passwords", json=new)) == "forbidden"
            assert code(await browser.get("/api/me")) == "unauthorized"
            assert code(await browser.post("/api/sessions", json=ADA)) == "unauthorized"
            assert (await browser.post("/api/sessions", json={**ADA, "password": "battery staple"})).status_code == 201

    web(body)


def test_no_other_site_signs_anybody_up_or_in(web: Web) -> None:
    """Log-in CSRF: a page that logs its visitor in as somebody else would watch them work."""

    async def body(stage: Stage) -> None:
        async with stage.client() as browser:
            await browser.post("/api/users", json=ADA)
            await browser.delete("/api/sessions/current")
            for path in ("/api/users", "/api/sessions", "/api/passwords", "/api/tokens"):
                for headers in (
                    {"origin": "http://hello.localhost:8080"},
                    {"sec-fetch-site": "cross-site"},
                    {"sec-fetch-site": "same-site"},
                ):
                    refused = await browser.post(path, json=ADA, headers=headers)
                    assert code(refused) == "cross_site", path
                    assert "set-cookie" not in refused.headers
            ours = {"origin": CONTROL, "sec-fetch-site": "same-origin"}
            assert (await browser.post("/api/sessions", json=ADA, headers=ours)).status_code == 201

    web(body)


def test_bad_bodies_are_refused_by_name(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as browser:
            for path in ("/api/users", "/api/sessions"):
                for wrong in ({}, {"username": "ada"}, {**ADA, "more": 1}, {**ADA, "username": 7}):
                    assert code(await browser.post(path, json=wrong)) == "invalid", (path, wrong)
                assert code(await browser.post(path, content=b"{")) == "bad_request"
                plain = await browser.post(path, json=ADA, headers={"content-type": "text/plain"})
                assert code(plain) == "unsupported_media_type"
        assert await stage.rooms.library.accounts.everyone() == []

    web(body)


def test_sign_ups_are_so_many_an_hour(web: Web) -> None:
    async def body(stage: Stage) -> None:
        rooms = stage.rebuilt(signups=RateLimit(1, "sign-ups"))
        async with rooms.client() as one:
            assert (await one.post("/api/users", json=ADA)).status_code == 201
            refused = await one.post("/api/users", json={**ADA, "username": "bob"})
            assert code(refused) == "rate_limited"
            assert int(refused.headers["retry-after"]) > 0

    web(body)


def test_a_closed_server_says_so(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.rebuilt(signup="closed").client() as browser:
            refused = await browser.post("/api/users", json=ADA)
            assert (code(refused), refused.status_code) == ("forbidden", 403)
            assert "takes no new users" in refused.json()["error"]["message"]

    web(body)


def test_who_knows_their_password_sets_another(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as here, stage.client() as elsewhere:
            await here.post("/api/users", json=ADA)
            await elsewhere.post("/api/sessions", json=ADA)
            new = {"current": ADA["password"], "password": "battery staple"}
            for wrong, code_of in (
                ({**new, "current": "wrong horse"}, "unauthorized"), ({**new, "password": "short"}, "invalid"),
                ({"password": "battery staple"}, "invalid"), ({**new, "reset": "both"}, "invalid"),
            ):  # fmt: skip
                assert code(await here.post("/api/passwords", json=wrong)) == code_of, wrong
            assert (await here.post("/api/passwords", json=new)).status_code == 200
            assert (await here.get("/api/me")).status_code == 200
            assert code(await elsewhere.get("/api/me")) == "unauthorized"
            assert code(await elsewhere.post("/api/sessions", json=ADA)) == "unauthorized"
            assert (
                await elsewhere.post("/api/sessions", json={**ADA, "password": "battery staple"})
            ).status_code == 201
        async with stage.client(await stage.guest()) as guest:
            assert code(await guest.post("/api/passwords", json=new)) == "unauthorized"

    web(body)


def test_a_browsers_curl_line_is_for_its_app_only(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as browser:
            await browser.post("/api/users", json=ADA)
            for name in ("one", "two"):
                made = await browser.post("/api/apps", json={"name": name, "files": {"index.ts": HELLO.decode()}})
            secret = made.json()["next"]["redeploy"].partition("Bearer ")[2].partition("'")[0]
        async with stage.client(secret) as program:
            assert (await program.put("/api/apps/two", content=HELLO)).status_code == 201
            assert code(await program.post("/api/apps/one/stop")) == "not_found"
            assert code(await program.get("/api/tokens")) == "forbidden"

    web(body)
