"""Health, who am I, the host, and which domains it serves."""

from __future__ import annotations

import pytest

from tests.web.conftest import CONTROL, Stage, Web, code


def test_health(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.text) == (200, '{"status":"ok"}\n')
            assert (await client.head("/healthz")).status_code == 200

    web(body)


def test_who_am_i(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            assert (await client.get("/api/me")).json() == {
                "user": {"name": "operator", "kind": "operator", "created_at": "1970-01-01T00:00:00Z", "notify": ""}
            }

    web(body)


def test_the_host_says_true_facts(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            host = (await client.get("/api/host")).json()["host"]
        assert (host["name"], host["control_url"], host["apps"], host["running"]) == ("test-host", CONTROL, 1, 1)
        assert host["app_url"] == "http://NAME.localhost:8080"
        assert (host["backup"]["litestream"], host["backup"]["records"]) == ("", "unknown"), "none runs in this test"
        assert host["backup"]["problem"]
        assert host["backup"]["target"].startswith("file://")

    web(body)


@pytest.mark.parametrize(
    ("domain", "served"),
    [
        ("localhost", True), ("hello.localhost", True), ("HELLO.localhost.", True), ("other.localhost", False),
        ("a.hello.localhost", False), ("example.org", False), ("hello", False), ("", False), ("%00", False),
    ],
)  # fmt: skip
def test_which_domains_are_served(web: Web, domain: str, served: bool) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client() as client:
            answer = await client.get(f"/api/host/serves?domain={domain}")
        assert answer.status_code == (200 if served else 404)

    web(body)


def test_the_domain_must_be_named(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            assert code(await client.get("/api/host/serves")) == "invalid"

    web(body)
