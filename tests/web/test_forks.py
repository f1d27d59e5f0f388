"""Another app from one's own, by the API."""

from __future__ import annotations

from steadyd.web.rate import RateLimit
from tests.web.calls import KEEPING
from tests.web.conftest import Stage, Web, code


def test_a_fork_is_an_app_of_its_own(web: Web) -> None:
    async def body(here: Stage) -> None:
        await here.app("hello", content=KEEPING)
        async with here.client(here.operator_token) as client:
            made = await client.post("/api/apps/hello/fork", json={"name": "branch"})
            assert made.status_code == 201, made.text
            app = made.json()["app"]
            assert (app["name"], app["state"], app["version"]) == ("branch", "stopped", 1)
            assert app["url"] == "http://branch.localhost:8080"
            assert made.headers["location"] == "/api/apps/branch"
            databases = (await client.get("/api/apps/branch/databases")).json()["databases"]
            assert [one["path"] for one in databases] == ["data.sqlite"], databases
            again = await client.post("/api/apps/hello/fork", json={"name": "branch"})
            assert code(again) == "name_taken"
            operations = (await client.get("/api/apps/hello/operations")).json()["operations"]
            assert [(one["kind"], one["status"]) for one in operations[:2]] == [("fork", "failed"), ("fork", "done")]

    web(body)


def test_a_guest_has_so_many_and_makes_so_many_an_hour(web: Web) -> None:
    async def body(here: Stage) -> None:
        token = await here.guest()
        app = await here.app("hello", token)
        async with here.client(token) as client:
            assert code(await client.post("/api/apps/hello/fork", json={"name": "no name"})) == "invalid_name"
            names = [f"fork-{number}" for number in range(here.rooms.apps.policy.guest_apps)]
            answers = [await client.post("/api/apps/hello/fork", json={"name": name}) for name in names]
            assert [answer.status_code for answer in answers[:-1]] == [201] * (len(names) - 1)
            assert code(answers[-1]) == "app_limit"
            assert answers[0].json()["app"]["temporary"] is True
        async with here.rebuilt(creations=RateLimit(1, "apps made")).client(token) as client:
            answers = [await client.post("/api/apps/hello/fork", json={"name": "again"}) for _ in range(2)]
            assert [code(answer) for answer in answers] == ["app_limit", "rate_limited"]
        guest = await here.rooms.people.by_id(app.owner_id)
        assert guest is not None
        only = await here.rooms.people.add_token(guest, "one app", 0.0, app.id)
        async with here.client(only) as client:
            assert code(await client.post("/api/apps/hello/fork", json={"name": "other"})) == "forbidden"

    web(body)
