"""Variables through the API. Real apps, real Bun: what is set is what they find."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from steadyd.errors import SteadyError
from steadyd.variables import Change, Value
from steadyd.web.env import NAMES_TOLD_MAX
from tests.runner.conftest import Visitor, exchange
from tests.web.conftest import HELLO, Stage, Web, code

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


ECHO = "export default { fetch: () => Response.json(process.env) }\n"
PICKY = f"if (process.env.WORKS === 'no') throw new Error('picky');\n{ECHO}"


async def find(stage: Stage) -> dict[str, str]:
    """What the app finds in its environment: its own variables."""
    app = await stage.rooms.apps.by_name("hello")
    assert app is not None
    runtime = stage.rooms.fleet.runtime(app.id)
    assert runtime is not None
    await runtime.wake()
    assert runtime.instance is not None
    status, answer = await exchange(runtime.instance.address)
    assert status == 200
    found = dict(json.loads(answer))
    assert found.pop("PORT") == "3000"
    assert found.pop("STEADY_APP") == "hello"
    assert found.pop("STEADY_ENV") == "production"
    assert found.pop("STEADY_URL") == "http://hello.localhost:8080"
    assert found.pop("STEADY_VERSION") == str(app.version)
    usual = {"PATH", "HOME", "LANG", "NODE_ENV", "BUN_RUNTIME_TRANSPILER_CACHE_PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    return {name: value for name, value in found.items() if name not in usual}


def test_what_is_set_is_what_the_app_finds_and_nothing_of_ours(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAEMONS_OWN", "hush")

    async def body(stage: Stage) -> None:
        await stage.app("hello", content=ECHO.encode())
        async with stage.client(stage.operator_token) as client:
            assert await find(stage) == {}
            put = await client.put(PATH, json={"A": "1", "API_KEY": {"value": "k é\n", "secret": False}, "GONE": None})
            assert put.status_code == 200, put.text
            assert {name: told["secret"] for name, told in put.json()["env"].items()} == {"A": False, "API_KEY": False}
            assert put.json() == (await client.get(PATH)).json()
            assert await find(stage) == {"A": "1", "API_KEY": "k é\n"}
            changed = await client.patch(PATH, json={"A": "2", "API_KEY": None, "B_KEY": ""})
            assert {name: told["secret"] for name, told in changed.json()["env"].items()} == {"A": False, "B_KEY": True}
            assert await find(stage) == {"A": "2", "B_KEY": ""}
            wrapped = await client.put(PATH, json={"env": {"C": "3"}})
            assert (list(wrapped.json()["env"]), await find(stage)) == (["C"], {"C": "3"})
            own = await client.patch(PATH, json={"env": "called so"})
            assert (list(own.json()["env"]), await find(stage)) == (["C", "env"], {"C": "3", "env": "called so"})
            assert (await client.put(PATH, json={})).json() == {"env": {}}
            assert await find(stage) == {}
            await stage.settled()
            events = (await client.get("/api/apps/hello/events")).text
            assert "Variables set: A, B_KEY; removed: API_KEY." in events

    web(body)


def test_an_event_names_so_many(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            await client.put(PATH, json={f"A{number:02}": "1" for number in range(NAMES_TOLD_MAX + 3)})
            await stage.settled()
            events = (await client.get("/api/apps/hello/events")).text
            assert "A18, A19 and 3 more; all others of production removed." in events

    web(body)


def test_what_differs_in_nothing_starts_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello", content=ECHO.encode())
        async with stage.client(stage.operator_token) as client:
            await client.put(PATH, json={"A": "1"})
            runtime = stage.rooms.fleet.runtime(app.id)
            assert runtime is not None
            instance = runtime.instance
            assert (await client.put(PATH, json={"A": "1"})).status_code == 200
            assert (await client.patch(f"{PATH}?context=trial", json={"A": "trial's"})).status_code == 200
            assert runtime.instance is instance
            assert (await client.patch(PATH, json={"A": "2"})).status_code == 200
            assert runtime.instance is not instance

    web(body)


def test_a_start_that_fails_changes_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=PICKY.encode())
        async with stage.client(stage.operator_token) as client:
            await client.put(PATH, json={"WORKS": "yes"})
            before = (await client.get(PATH)).json()
            refused = await client.patch(PATH, json={"WORKS": "no", "API_KEY": "hush-5f1d"})
            assert (refused.status_code, code(refused)) == (422, "deploy_failed")
            assert "picky" in refused.json()["error"]["message"]
            assert "hush-5f1d" not in refused.text
            assert (await client.get(PATH)).json() == before
            assert await find(stage) == {"WORKS": "yes"}

    web(body)


def test_bad_ones_are_refused_by_name_and_change_nothing(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        small = stage.rebuilt(env_value_bytes=10)
        async with small.client(stage.operator_token) as client:
            for bad, expected in (
                ({"GOOD": "1", "BAD-NAME": "hush"}, "invalid"),
                ({"GOOD": "1", "PORT": "hush"}, "invalid"),
                ({"GOOD": "1", "STEADY_APP": "hush"}, "invalid"),
                ({"GOOD": "1", "LONG": "hush" * 3}, "too_large"),
                ({"GOOD": "1", "NUMBER": 5}, "invalid"),
                ({"GOOD": "1", "LIST": ["hush"]}, "invalid"),
                ({"GOOD": "1", "WRONG": {"value": "hush", "secrets": True}}, "invalid"),
                ({"GOOD": "1", "NUL": "hush\0"}, "invalid"),
                (["hush"], "invalid"),
            ):
                for method in ("PUT", "PATCH"):
                    answer = await client.request(method, PATH, json=bad)
                    assert code(answer) == expected, bad
                    assert "hush" not in answer.text
                    if isinstance(bad, dict):
                        assert list(bad)[1] in answer.json()["error"]["message"]
            assert code(await client.patch(f"{PATH}?context=local", json={"A": "1"})) == "invalid"
            assert code(await client.patch(f"{PATH}?contxt=trial", json={"A": "1"})) == "invalid"
            assert code(await client.patch(PATH, content=b'{"A": "1", "A": "2"}')) in ("invalid", "bad_request")
            assert (await client.get(PATH)).json() == {"env": {}}

    web(body)


def test_an_app_may_be_created_and_deployed_with_variables(web: Web) -> None:
    """Code and variables go live together, or not at all."""

    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = {"name": "hello", "files": {"index.ts": PICKY}}
            refused = await client.post("/api/apps", json={**made, "env": {"WORKS": "no"}})
            assert code(refused) == "deploy_failed"
            assert await stage.nobody_is_new()
            created = await client.post("/api/apps", json={**made, "env": {"WORKS": "yes", "KEY": None}})
            assert created.status_code == 201, created.text
            assert await find(stage) == {"WORKS": "yes"}
            deploys = "/api/apps/hello/deploys"
            files = {"files": {"index.ts": f"// again\n{PICKY}"}}
            refused = await client.post(deploys, json={**files, "env": {"WORKS": "no", "NEW": "1"}})
            assert code(refused) == "deploy_failed"
            assert list((await client.get(PATH)).json()["env"]) == ["WORKS"]
            assert await find(stage) == {"WORKS": "yes"}
            done = await client.post(deploys, json={**files, "env": {"NEW": {"value": "1", "secret": True}}})
            assert done.status_code == 201, done.text
            assert await find(stage) == {"WORKS": "yes", "NEW": "1"}
            assert (await client.get(PATH)).json()["env"]["NEW"]["secret"] is True
            merge = {"files": {"a.txt": "a"}, "merge": True, "env": {"NEW": None}}
            assert (await client.post(deploys, json=merge)).status_code == 201
            assert await find(stage) == {"WORKS": "yes"}
            assert code(await client.post(deploys, json={**files, "env": {"PORT": "1"}})) == "invalid"

    web(body)


def test_a_trial_has_its_own(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello", content=ECHO.encode())
        tried = "if (process.env.STEADY_ENV === 'trial') throw new Error(`${process.env.A} ${process.env.B}`);\n"
        async with stage.client(stage.operator_token) as client:
            await client.put(PATH, json={"A": "1", "B": "2"})
            await client.put(f"{PATH}?context=trial", json={"B": "trial's"})
            refused = await client.put("/api/apps/hello", content=(tried + ECHO).encode())
            assert "1 trial's" in refused.json()["error"]["message"]
            assert await find(stage) == {"A": "1", "B": "2"}

    web(body)


def test_without_its_key_an_app_is_locked_and_the_others_run(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app, other = await stage.app("hello", content=ECHO.encode()), await stage.app("other")
        key = stage.folder / "secrets.key"
        async with stage.client(stage.operator_token) as client:
            await client.put(PATH, json={"A": "1"})
            kept = key.read_text()
            key.unlink()
            stage.rooms.library.environment.vault._keys = None  # as after a restart
            for started in (app, other):
                runtime = stage.rooms.fleet.runtime(started.id)
                assert runtime is not None
                await runtime.sleep()
                runtime.plan = None
            assert (await client.post("/api/apps/other/start")).status_code == 200
            refused = await client.post("/api/apps/hello/start")
            assert (refused.status_code, code(refused)) == (503, "secrets_locked")
            runtime = stage.rooms.fleet.runtime(app.id)
            assert runtime is not None
            with pytest.raises(SteadyError) as caught:
                await Visitor().arrive(runtime)
            assert caught.value.code == "secrets_locked"
            assert code(await client.put("/api/apps/hello", content=HELLO)) == "secrets_locked"
            assert code(await client.patch("/api/apps/other/env", json={"A": "1"})) == "secrets_locked"
            key.write_text(kept)
            assert (await client.post("/api/apps/hello/start")).status_code == 200
            assert await find(stage) == {"A": "1"}

    web(body)


def test_a_rollback_brings_back_the_variables_that_a_version_ran_with(web: Web) -> None:
    async def body(stage: Stage) -> None:
        rollback = "/api/apps/hello/rollback"
        async with stage.client(stage.operator_token) as client:
            made = {"name": "hello", "files": {"index.ts": ECHO}, "env": {"A": "1"}}
            assert (await client.post("/api/apps", json=made)).status_code == 201
            again = {"files": {"index.ts": f"// 2\n{ECHO}"}, "env": {"A": "2"}}
            assert (await client.post("/api/apps/hello/deploys", json=again)).status_code == 201
            await client.put(PATH, json={"A": "3", "B": "new"})
            assert (await client.post(rollback, json={"version": 1})).status_code == 201
            assert await find(stage) == {"A": "3", "B": "new"}  # code alone
            assert (await client.post(rollback, json={"version": 2, "env": True})).status_code == 201
            assert await find(stage) == {"A": "3", "B": "new"}
            await client.put(PATH, json={"A": "4"})
            back = await client.post(rollback, json={"version": 1, "env": True})
            assert back.status_code == 201, back.text
            listed = (await client.get("/api/apps/hello/versions")).json()["versions"]
            ran = {version["version"]: version["env"] for version in listed}
            assert (ran[1]["revision"], ran[2]["revision"]) == (5, 4)
            assert ran[1]["hash"] != ran[2]["hash"]
            assert await find(stage) == {"A": "1"}  # its own, whatever it ran with after the first rollback
            assert (await client.post(rollback, json={"version": 2, "env": True})).status_code == 201
            assert await find(stage) == {"A": "4"}

    web(body)


def test_a_dotenv_file_in_an_archive_is_offered_and_not_kept(web: Web) -> None:
    async def body(stage: Stage) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in (("index.ts", ECHO.encode()), (".env", b"API_KEY=hush")):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        async with stage.client(stage.operator_token, **{"content-type": "application/gzip"}) as client:
            made = await client.put("/api/apps/hello", content=packed.getvalue())
            assert made.status_code == 201, made.text
            assert "“.env” was left out. For its variables: steadyd env hello import .env" in made.json()["notes"]
            assert await find(stage) == {}
        assert not [path for path in stage.folder.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]

    web(body)
