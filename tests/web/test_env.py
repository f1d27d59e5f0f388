"""Variables through the API. Real apps, real Bun: what is set is what they find."""

from __future__ import annotations

from steadyd.variables import Change, Value
from tests.web.conftest import Stage, Web, code

PATH = "/api/apps/hello/env"
ROTATE = "/api/host/secrets/rotate"


async def store(stage: Stage, change: Change) -> None:
    """Into the records alone."""
    app = await stage.rooms.apps.by_name("hello")
    assert app is not None
    environment = stage.rooms.library.environment
    await environment._database.write(environment.change(app.id, change, stage.operator, 0.0))


STORED = Change({("production", "API_KEY"): Value("hush"), ("trial", "GREETING"): Value("hush")})


def test_names_are_shown_to_the_owner_and_no_value_to_anybody(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("hello", token)
        await store(stage, STORED)
        key = {"secret": True, "updated_at": "1970-01-01T00:00:00Z", "contexts": ["production"]}
        greeting = {"secret": False, "updated_at": "1970-01-01T00:00:00Z", "contexts": ["trial"]}
        async with stage.client(token) as client:
            answer = await client.get(PATH)
            assert answer.json() == {"env": {"API_KEY": key, "GREETING": greeting}}
            assert (await client.get(f"{PATH}?context=trial")).json() == {"env": {"GREETING": greeting}}
            assert (await client.get(f"{PATH}?context=preview")).json() == {"env": {}}
            assert code(await client.get(f"{PATH}?context=elsewhere")) == "invalid"
            assert "hush" not in (await client.get("/api/apps/hello")).text
        for stranger in (await stage.guest(), ""):
            async with stage.client(stranger) as client:
                assert code(await client.get(PATH)) in ("not_found", "unauthorized")

    web(body)


def test_the_operator_changes_the_key_and_nobody_else(web: Web) -> None:
    async def body(stage: Stage) -> None:
        token = await stage.guest()
        await stage.app("hello", token)
        await store(stage, STORED)
        key = stage.folder / "secrets.key"
        before = key.read_text()
        async with stage.client(token) as client:
            assert code(await client.post(ROTATE)) == "not_found"
        async with stage.client(stage.operator_token) as client:
            assert key.read_text() == before
            answer = await client.post(ROTATE)
            assert (answer.status_code, answer.json()) == (200, {"secrets": {"sealed": 2}})
            assert key.read_text() != before
            assert code(await client.post(ROTATE, json={"why": "?"})) == "invalid"

    web(body)


def test_a_key_that_cannot_be_used_is_told_to_the_operator(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        await store(stage, STORED)
        key = stage.folder / "secrets.key"
        kept = key.read_text()
        vault = stage.rooms.library.environment.vault
        async with stage.client(stage.operator_token) as client:
            host = (await client.get("/api/host")).json()["host"]
            assert (host["locked"], host["missing"]) == ([], [])
            key.write_text("nonsense")
            vault._keys = None  # as after a restart
            host = (await client.get("/api/host")).json()["host"]
            assert host["locked"] == ["hello"]
            assert str(key) in host["missing"][0]
            assert code(await client.post(ROTATE)) == "secrets_locked"
            key.write_text(kept)
            assert (await client.get("/api/host")).json()["host"]["locked"] == []

    web(body)
