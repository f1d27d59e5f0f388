"""Every example starts and answers. The one with a package to install is run by the tests of the install."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from steadyd.runner.engine import SCRIPTS
from tests.runner.bun_app import BunApp

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "hello": "Hello from hello.localhost\n",
    "multi-file": "What time is it?",
    "counter": '{"visits":0}',
    "chat": "<h1>Chat</h1>",
    "static-site": "A page and no code",
    "crons": "The last ticks:",
    "visitors": "You are visitor number 1.",
    "guestbook": "<h1>Guestbook</h1>",
}
INSTALLED = {"hono", "htmx"}


def test_all_are_named_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == SAYS.keys() | INSTALLED


@pytest.mark.parametrize("name", SAYS)
def test_example(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    entry = "./index.ts" if (folder / "index.ts").exists() else str(SCRIPTS / "static.ts")
    with BunApp(folder, entry) as app:
        app.wait("ready")
        answer = app.get()
        assert answer.status == 200
        assert SAYS[name] in answer.text


def test_the_counter_counts(tmp_path: Path) -> None:
    """And goes on counting after a kill: the database is a file in the folder."""
    shutil.copytree(EXAMPLES / "counter", tmp_path / "counter")
    for expected in (1, 2):
        with BunApp(tmp_path / "counter") as app:
            app.wait("ready")
            assert app.get(method="POST").json == {"id": expected}
