from __future__ import annotations

import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from steadyd import daemon as module
from tests.served import Daemon, data_folder, refused, remove

SECONDS_MAX = 20


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


def test_the_person_who_started_it_gets_in(daemon: Daemon) -> None:
    """By the token and URL files, mode 0600, and by a link that works once."""
    for name in ("operator.token", "url"):
        assert stat.S_IMODE((daemon.data / name).stat().st_mode) == 0o600
    assert (daemon.data / "url").read_text() == f"http://localhost:{daemon.port}\n"
    link = re.search(r"/login/\S+", "".join(daemon.output))
    assert link
    with httpx.Client(base_url=daemon.url, headers={"Host": f"localhost:{daemon.port}"}) as browser:
        token = re.search(r'name="form_token" value="([^"]+)"', browser.get(link[0]).text)
        assert token
        assert browser.post(link[0], data={"form_token": token[1]}).status_code == 303
        assert browser.get("/api/host").status_code == 200, "only the operator may"
        assert browser.post(link[0], data={"form_token": token[1]}).status_code != 303


def test_a_private_address_takes_the_api_and_no_app(data: Path) -> None:
    served = Daemon(data, "--private-listen", "127.0.0.1:0")
    try:
        served.create("hello", {"index.ts": "export default { fetch: () => new Response('from the app') }"})
        found = re.search(r"private API     (http://\S+)", "".join(served.output))
        assert found
        bearer = {"Authorization": f"Bearer {served.token}"}
        with httpx.Client(base_url=found[1], headers=bearer, timeout=SECONDS_MAX, trust_env=False) as inside:
            assert inside.get("/api/apps").json()["apps"][0]["name"] == "hello"
            assert inside.get("/", headers={"Host": "hello.localhost"}).text != "from the app"
        assert served.ask("hello").text == "from the app"
        said = refused(data / "other", "--listen", "127.0.0.1:0", "--private-listen", found[1].removeprefix("http://"))
        assert "Choose another --private-listen." in said
    finally:
        served.stop()


def test_two_daemons_never_share_a_data_folder(daemon: Daemon) -> None:
    assert "Another steadyd uses" in refused(daemon.data, "--listen", "127.0.0.1:0")


def test_a_taken_port_is_named_with_the_way_out(daemon: Daemon, data: Path) -> None:
    said = refused(data, "--listen", f"127.0.0.1:{daemon.port}")
    assert f"127.0.0.1:{daemon.port}" in said
    assert "--listen" in said


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--data" in refused(tmp_path / "file" / "data", "--listen", "127.0.0.1:0")


@pytest.mark.slow
def test_it_stops_in_time_though_a_request_never_ends(data: Path) -> None:
    """SIGTERM: drained, everything stopped, exit code 0, well within 15 s."""
    daemon = Daemon(data)
    try:
        answer = daemon.api("POST", "/apps", json={"name": "slow", "files": {"index.ts": QUICK_THEN_SLOW}})
        assert answer.status_code == 201, answer.text
        with socket.create_connection(("127.0.0.1", daemon.port)) as waiting:
            waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: slow.localhost\r\n\r\n")
            assert daemon.ask("slow").text == "quick"
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < module.STOP_SECONDS_MAX
        assert daemon.instances() == []
    finally:
        daemon.kill()


QUICK_THEN_SLOW = """
export default { async fetch(request: Request) {
  if (request.url.endsWith("/slow")) await Bun.sleep(60_000);
  return new Response("quick");
} };
"""


def test_a_second_signal_ends_it_at_once(data: Path) -> None:
    daemon = Daemon(data)
    daemon.create("slow", {"index.ts": QUICK_THEN_SLOW})
    with socket.create_connection(("127.0.0.1", daemon.port)) as waiting:
        waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: slow.localhost\r\n\r\n")
        assert daemon.ask("slow").text == "quick"
        daemon.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + SECONDS_MAX
        while "steadyd stopping\n" not in daemon.output:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=2) == 1
