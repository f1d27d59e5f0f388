"""From an endpoint as a value to a route: who may, in which order things are looked at, and wrong methods."""

from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.runner.keeper import NoKeeper
from steadyd.web.app import endpoints
from steadyd.web.endpoint import Access
from tests.web.conftest import Stage, Web, code

APP = "/api/apps/{name}"


def test_every_call_that_changes_an_app_is_its_owners_or_the_operators(web: Web) -> None:
    """Only PUT, which may create, is anyone's, and a claim is for who shows the token of a guest's app."""

    async def body(stage: Stage) -> None:
        for endpoint in endpoints(stage.rooms):
            others = ("PUT", APP), ("POST", f"{APP}/claim")
            if endpoint.changes and endpoint.about_app and (endpoint.method, endpoint.path) not in others:
                allowed = (Access.OWNER, Access.OWNER_OF_DELETED, Access.OPERATOR)
                assert endpoint.access in allowed, endpoint.path
            if endpoint.upload is None and endpoint.changes:
                assert endpoint.body is not None or endpoint.method == "DELETE"

    web(body)


def test_a_body_is_not_read_for_who_may_not(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client() as client:
            refused = await client.post("/api/apps/hello/deploys", content=b"[" * 1_000_000)
            assert (refused.status_code, code(refused)) == (404, "not_found")

    web(body)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/apps", "GET, HEAD, POST"), ("POST", "/api/apps/hello", "DELETE, GET, HEAD, PUT"),
        ("DELETE", "/api/apps/hello/deploys", "GET, HEAD, POST"), ("GET", "/api/apps/hello/start", "POST"),
        ("POST", "/healthz", "GET, HEAD"), ("OPTIONS", "/api/apps", "GET, HEAD, POST"),
    ],
)  # fmt: skip
def test_a_wrong_method_is_told_the_right_ones(web: Web, method: str, path: str, allowed: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            refused = await client.request(method, path)
        assert (refused.status_code, code(refused)) == (405, "method_not_allowed")
        assert refused.headers["allow"] == allowed

    web(body)


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/apps/", "/api/apps/x/y/z", "/api/apps/a%2Fb/logs"]
)
def test_an_unknown_address_is_404_in_json(web: Web, path: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(accept="text/html") as client:
            refused = await client.get(path, follow_redirects=False)
        assert (refused.status_code, code(refused)) == (404, "not_found")

    web(body)


@pytest.mark.parametrize("content", [b"", b"{}", b" {} "])
def test_an_empty_body_is_an_empty_object(web: Web, content: bytes) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            for kind in ("application/json", "application/x-www-form-urlencoded", ""):
                headers = {"content-type": kind} if kind else {}
                assert (await client.post("/api/apps/hello/stop", content=content, headers=headers)).status_code == 200
            refused = await client.post("/api/apps/hello/stop", content=content, headers={"content-type": "text/html"})
            assert code(refused) == "unsupported_media_type"

    web(body)


def test_what_follows_from_a_call_s_kind_is_told_with_it(web: Web) -> None:
    async def body(stage: Stage) -> None:
        found = {(endpoint.method, endpoint.path): endpoint.refusals for endpoint in endpoints(stage.rooms)}
        stop = found["POST", "/api/apps/{name}/stop"]
        assert {"bad_request", "invalid", "too_large", "suspended", "cross_site", "overloaded", "forbidden"} <= stop
        assert "invalid" in found["GET", "/api/apps"]
        assert "suspended" not in found["DELETE", "/api/apps/{name}"]
        assert found["GET", "/healthz"] == {"internal", "superseded", "unauthorized"}

    web(body)


def test_of_an_app_that_waits_for_the_replica_nothing_is_told_before_that_has_it(web: Web) -> None:
    waited: list[str] = []
    problem = ""

    class Replicating(NoKeeper):
        async def settle(self, app_id: str) -> None:
            waited.append(app_id)
            if problem:
                raise SteadyError("not_replicated", problem, retry_after=2)

    async def body(stage: Stage) -> None:
        nonlocal problem
        stage.rooms.fleet.keeper = Replicating()
        app_id = (await stage.app("hello")).id
        async with stage.client(stage.operator_token) as client:
            await client.post("/api/apps/hello/restart")
            assert waited == []
            await client.patch("/api/apps/hello/settings", json={"durability": "replica"})
            await client.put("/api/apps/hello", content=b"export default { fetch: () => new Response('2') }")
            await client.get("/api/apps/hello")
            assert waited == [app_id] * 2
            problem = "It has nothing yet."
            late = await client.post("/api/apps/hello/rename", json={"name": "other"})
            assert (late.status_code, code(late), late.headers["retry-after"]) == (503, "not_replicated", "2")
            assert (await client.get("/api/apps/other")).status_code == 200  # it was done
            problem = ""
            await client.patch("/api/apps/other/settings", json={"durability": "host"})
            assert waited == [app_id] * 3

    web(body)
