"""What a deploy would change: asked of a server, or of a tree."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from steadyd.cli.client import Client, Server
from steadyd.cli.live import CHANGES_SHOWN, Live, find_live, say_what_changes
from steadyd.model import File
from tests.cli.conftest import Api

APP = {"name": "hello", "url": "http://hello.localhost", "state": "running", "version": 3}


def file(path: str, content: bytes) -> File:
    return File(path, hashlib.sha256(content).hexdigest(), len(content))


def live(*files: File, state: str = "running") -> Live:
    return Live({**APP, "state": state}, 3, files)


def test_what_is_live_is_asked_of_the_server(api: Api, home: object) -> None:
    one = file("index.ts", b"1")
    shown = {"path": one.path, "sha256": one.sha256, "size": 1}
    api.answers["GET /api/apps/hello"] = (200, {"app": APP})
    api.answers["GET /api/apps/hello/versions/3/files"] = (200, {"files": [shown]})
    with Client(Server(api.url, "token", False)) as client:
        assert find_live(client, "hello") == Live(APP, 3, (one,))
        assert find_live(client, "other") is None


@pytest.mark.parametrize(
    "app", [{"name": "hello", "url": "x", "state": "running"}, {"version": 0}, {"version": "1"}, None]
)
def test_what_we_are_not_told_is_not_there(api: Api, home: object, app: Any) -> None:
    api.answers["GET /api/apps/hello"] = (200, {"app": app})
    with Client(Server(api.url, "token", False)) as client:
        assert find_live(client, "hello") is None
    asked = len(api.asked)
    with Client(Server(api.url, "", False)) as client:
        assert find_live(client, "hello") is None
    assert len(api.asked) == asked, "who shows no token asks nothing"


def test_the_lock_that_the_server_made_is_no_change() -> None:
    one, lock = file("index.ts", b"1"), file("bun.lock", b"{}")
    assert live(one, lock).changes({"index.ts": b"1"}) == []
    assert [change.path for change in live(one, lock).changes({"index.ts": b"1", "bun.lock": b"{ }"})] == ["bun.lock"]
    assert [change.path for change in live(one).changes({"index.ts": b"1", "bun.lock": b"{ }"})] == ["bun.lock"]


@pytest.mark.parametrize(
    ("state", "settled"), [("running", True), ("stopped", True), ("failed", False), ("held", False)]
)
def test_an_app_that_does_not_serve_is_worth_a_deploy_of_the_same(state: str, settled: bool) -> None:
    assert live(state=state).is_settled is settled


def test_each_change_has_a_line_and_all_have_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    before = live(file("a.ts", b"1"), file("b.ts", b"1"), file("c.ts", b"1"))
    say_what_changes(before, {"a.ts": b"1", "b.ts": b"2", "d\x1b.ts": b"1"})
    assert capsys.readouterr().err == (
        "  M  b.ts\n  D  c.ts\n  A  d\\x1b.ts\nSince version 3: 1 added, 1 modified, 1 deleted\n"
    )
    say_what_changes(before, {f"{number}.txt": b"" for number in range(CHANGES_SHOWN + 2)})
    said = capsys.readouterr().err
    assert said.count("  A  ") == CHANGES_SHOWN
    assert "  and 5 more\n" in said
    say_what_changes(None, {"a.ts": b""})
    say_what_changes(before, {"a.ts": b"1", "b.ts": b"1", "c.ts": b"1"})
    assert capsys.readouterr().err == ""
