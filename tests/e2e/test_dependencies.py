"""Apps with dependencies from npm, deployed as users do: pasted, or with a package.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.served import Daemon

pytestmark = pytest.mark.network

APPS = Path(__file__).parent.parent / "runner" / "apps"


@pytest.mark.parametrize("name", sorted(app.stem for app in APPS.glob("*.ts")))
def test_pasted_framework_app_answers(daemon: Daemon, name: str) -> None:
    """No package.json at all: the bare imports are found, resolved and said."""
    answer = daemon.create(f"pasted-{name}", {"index.ts": (APPS / f"{name}.ts").read_text()})
    assert any("was added for an import" in note for note in answer["notes"])
    assert name.startswith(daemon.ask(f"pasted-{name}").json()["framework"])
    echoed = daemon.ask(f"pasted-{name}", "/echo", "POST", json={"a": 1})
    assert (echoed.status_code, echoed.json()) == (201, {"a": 1})


def test_lock_travels_with_the_version(daemon: Daemon) -> None:
    """What a first deploy resolved is what the next one installs."""
    source = 'import { Hono } from "hono";\nexport default new Hono().get("/", (c) => c.text("one"));\n'
    daemon.create("locked", {"index.ts": source})
    lock = daemon.api("GET", "/apps/locked/versions/1/files/bun.lock")
    assert lock.status_code == 200
    assert '"hono"' in lock.text
    merge = {"merge": True, "files": {"index.ts": source.replace("one", "two")}}
    assert daemon.api("POST", "/apps/locked/deploys", json=merge).status_code == 201
    assert daemon.ask("locked").text == "two"
    assert daemon.api("GET", "/apps/locked/versions/2/files/bun.lock").text == lock.text


def test_lifecycle_scripts_do_not_run_and_a_missing_package_says_so(daemon: Daemon) -> None:
    """A root postinstall is not run; a package that does not exist is a 422 that names it."""
    package = {"scripts": {"postinstall": "touch /app/ran"}, "dependencies": {"hono": "^4"}}
    source = """
    import { existsSync } from "node:fs";
    import { Hono } from "hono";
    export default new Hono().get("/", (c) => c.text(String(existsSync("/app/ran") || existsSync("ran"))));
    """
    daemon.create("scripted", {"index.ts": source, "package.json": json.dumps(package)})
    assert daemon.ask("scripted").text == "false"
    package["dependencies"] = {"steadyd-no-such-package-at-all": "1.0.0"}
    files = {"index.ts": source, "package.json": json.dumps(package)}
    answer = daemon.api("POST", "/apps/scripted/deploys", json={"files": files})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["step"] == "install"
    assert "steadyd-no-such-package-at-all" in answer.text
    assert daemon.ask("scripted").text == "false"
