"""The operator's view of users."""

from __future__ import annotations

from tests.web.conftest import HELLO, Stage, Web, code

ADA = {"username": "ada", "password": "correct horse"}


def test_a_suspended_user_is_nobody_and_their_apps_serve_nobody(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as operator, stage.client() as ada:
            await ada.post("/api/users", json={**ADA, "email": "ada@example.org"})
            secret = (await ada.post("/api/tokens", json={"label": "ci"})).json()["secret"]
            for name in ("one", "two"):
                made = await ada.post("/api/apps", json={"name": name, "files": {"index.ts": HELLO.decode()}})
                assert made.status_code == 201
            done = await operator.post("/api/users/Ada/suspend", json={"reason": "Spam."})
            user = done.json()["user"]
            assert (user["name"], user["email"], user["apps"], user["suspended"]) == (
                "ada",
                "ada@example.org",
                2,
                "Spam.",
            )
            assert code(await ada.get("/api/me")) == "unauthorized"
            async with stage.client(secret) as program:
                assert code(await program.get("/api/me")) == "unauthorized"
            refused = await ada.post("/api/sessions", json=ADA)
            assert (refused.status_code, code(refused)) == (451, "suspended")
            assert "set-cookie" not in refused.headers
            for name in ("one", "two"):
                app = (await operator.get(f"/api/apps/{name}")).json()["app"]
                assert (app["state"], app["suspended"]) == ("suspended", "Spam.")
            await operator.post("/api/apps/one/resume")
            assert (await operator.get("/api/apps/one")).json()["app"]["state"] == "suspended"
            await operator.post("/api/apps/two/suspend", json={"reason": "This one for itself."})
            back = await operator.post("/api/users/ada/resume")
            assert back.json()["user"]["suspended"] is None
            states = {name: (await operator.get(f"/api/apps/{name}")).json()["app"]["state"] for name in ("one", "two")}
            assert states == {"one": "stopped", "two": "suspended"}
            async with stage.client(secret) as program:
                assert (await program.get("/api/me")).status_code == 200
            assert (await ada.post("/api/sessions", json=ADA)).status_code == 201

    web(body)


def test_an_invitation_lets_one_person_in(web: Web) -> None:
    async def body(stage: Stage) -> None:
        invited = stage.rebuilt(signup="invite")
        async with invited.client(stage.operator_token) as operator, invited.client() as somebody:
            assert code(await somebody.post("/api/users", json=ADA)) == "forbidden"
            made = (await operator.post("/api/users/invitations")).json()
            assert made["url"].endswith(f"/signup/{made['invitation']}")
            first = await somebody.post("/api/users", json={**ADA, "invitation": made["invitation"]})
            assert first.status_code == 201
            second = {**ADA, "username": "bob", "invitation": made["invitation"]}
            assert code(await somebody.post("/api/users", json=second)) == "forbidden"
        async with stage.rebuilt(signup="closed").client(stage.operator_token) as operator:
            assert code(await operator.post("/api/users/invitations")) == "conflict"

    web(body)


def test_a_reset_is_for_one_user_and_once(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as operator, stage.client() as ada:
            await ada.post("/api/users", json=ADA)
            made = (await operator.post("/api/users/ada/reset")).json()
            assert made["url"].endswith(f"/reset/{made['reset']}")
            new = {"reset": made["reset"], "password": "battery staple"}
            assert (await ada.post("/api/passwords", json=new)).status_code == 200
            assert code(await ada.post("/api/passwords", json=new)) == "forbidden"

    web(body)


def test_absent_users_and_the_list(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as operator, stage.client() as ada:
            assert (await operator.get("/api/users")).json() == {"users": []}
            await ada.post("/api/users", json=ADA)
            assert [user["name"] for user in (await operator.get("/api/users")).json()["users"]] == ["ada"]
            assert "argon2" not in (await operator.get("/api/users")).text
            for call in ("suspend", "resume", "reset"):
                for name in ("nobody", "operator"):
                    assert code(await operator.post(f"/api/users/{name}/{call}")) == "not_found"

    web(body)
