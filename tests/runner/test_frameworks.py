"""Frameworks from npm, unchanged: what their own first page says must answer through the harness."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from steadyd.runner.engine import find_bun
from tests.runner.bun_app import BunApp

pytestmark = pytest.mark.network

APPS = Path(__file__).parent / "apps"
PACKAGES = ["express", "fastify", "elysia", "hono", "koa", "@hono/node-server"]
INSTALL_SECONDS_MAX = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The apps with their packages beside them."""
    folder = tmp_path_factory.mktemp("frameworks")
    (folder / "package.json").write_text("{}")
    command: list[str | Path] = [find_bun(), "add", "--ignore-scripts", "--no-progress", *PACKAGES]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
    for app in APPS.glob("*.ts"):
        shutil.copy(app, folder)
    return folder


@pytest.mark.parametrize("name", sorted(app.stem for app in APPS.glob("*.ts")))
def test_framework(folder: Path, name: str) -> None:
    with BunApp(folder, f"./{name}.ts") as app:
        app.wait("ready")
        answer = app.get("/", {"X-Forwarded-For": "192.0.2.7"}).json
        assert name.startswith(answer["framework"])
        assert answer["client"] == "192.0.2.7"
        assert answer["host"] == "hello.localhost:8080"
        with closing(app.connect()) as connection:
            connection.connect()
            connection.auto_open = False  # one connection for all, as the proxy keeps it
            for number in range(3):
                assert echo(connection, {"number": number}) == (201, {"number": number})
        assert [event["event"] for event in app.events if event["event"] != "timer"] == ["ready"]


def echo(connection: http.client.HTTPConnection, value: object) -> tuple[int, object]:
    connection.request("POST", "/echo", json.dumps(value), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
