"""Accounts through the front door of a real daemon: what is suspended stays so, whatever happens to the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.served import Daemon, data_folder, remove

HELLO = 'export default { fetch: () => new Response("hello") };'
ADA = {"username": "ada", "password": "correct horse"}


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    data = data_folder()
    started = Daemon(data)
    try:
        yield started
    finally:
        started.kill()
        remove(data)


def test_suspended_apps_answer_451_and_are_not_woken_after_a_kill_either(daemon: Daemon) -> None:
    host = {"Host": f"localhost:{daemon.port}"}
    with httpx.Client(base_url=daemon.url, headers=host, timeout=60) as browser:
        assert browser.post("/api/users", json=ADA).status_code == 201
        made = browser.post("/api/apps", json={"name": "hello", "files": {"index.ts": HELLO}})
        assert made.status_code == 201, made.text
        assert daemon.ask("hello").text == "hello"
        daemon.api("POST", "/users/ada/suspend", json={"reason": "Spam."}).raise_for_status()
        for _ in range(2):
            program, page = daemon.ask("hello"), daemon.ask("hello", headers={"Accept": "text/html"})
            assert (program.status_code, program.json()["error"]["code"]) == (451, "suspended")
            assert (page.status_code, page.headers["steady-error"]) == (451, "suspended")
            assert "The app is suspended" in page.text
            assert "Spam" not in page.text + program.text
            assert daemon.instances() == []
            assert browser.get("/api/me").status_code == 401
            daemon.kill()
            daemon.start(f"127.0.0.1:{daemon.port}")
        daemon.api("POST", "/users/ada/resume").raise_for_status()
        assert daemon.ask("hello").text == "hello"
