"""Names through the front door of a real daemon, across its death."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.served import Daemon, data_folder, remove

ECHO = """
export default {
  async fetch(request: Request) {
    const { search } = new URL(request.url);
    return new Response(`${process.env.STEADY_APP} ${request.method} ${search} ${await request.text()}`);
  },
};
"""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    data = data_folder()
    started = Daemon(data)
    try:
        yield started
        assert started.stop() == 0, "".join(started.output)
    finally:
        started.kill()
        remove(data)


def test_a_renamed_app_answers_under_both_names(daemon: Daemon) -> None:
    """Not a request fails while it changes its name, to whichever name it is sent, and a kill changes nothing."""
    daemon.create("one", {"index.ts": ECHO})
    told: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            told.append(daemon.ask("one").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    renamed = daemon.api("POST", "/apps/one/rename", json={"name": "two"})
    done.set()
    asking.join()
    assert (renamed.status_code, renamed.json()["app"]["name"]) == (200, "two")
    assert set(told) <= {200, 308}

    def both() -> None:
        assert daemon.ask("two", "/x?y=1", "POST", content=b"body").text == "two POST ?y=1 body"
        moved = daemon.ask("one", "/x?y=1", "POST", content=b"body")
        assert (moved.status_code, moved.headers["location"]) == (308, f"http://two.localhost:{daemon.port}/x?y=1")

    both()
    daemon.kill()
    daemon.start()
    both()
    assert daemon.api("DELETE", "/apps/two?purge=1").status_code == 204
    assert daemon.ask("one").status_code == 404
    with httpx.Client(base_url=daemon.url) as stranger:
        for name in ("one", "two"):
            refused = stranger.post(f"/api/apps?name={name}", content=ECHO)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "name_taken")
