from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from steadyd import daemon as module
from tests.served import ROOT, Daemon, data_folder, remove

SECONDS_MAX = 20
WHO = "export default { fetch: () => Response.json({ uid: process.getuid!() }) };"


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


def refused(data: Path, *options: str, before: tuple[str, ...] = ()) -> str:
    """What a daemon says that must not start: one line, exit code 1."""
    command = [*before, sys.executable, "-m", "steadyd", "serve", "--data", str(data), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=SECONDS_MAX)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


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


# ------------------------------------------------------------------------------------------- without bubblewrap

WITHOUT_BUBBLEWRAP = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/bin/bwrap && exec "$@"', "sh")


def can_hide_bubblewrap() -> bool:
    return (
        os.path.exists("/usr/bin/bwrap") and not subprocess.run([*WITHOUT_BUBBLEWRAP, "true"], check=False).returncode
    )


hidden = pytest.mark.skipif(os.geteuid() != 0 or not can_hide_bubblewrap(), reason="needs root, to hide bubblewrap")


@hidden
def test_without_a_sandbox_only_the_operator_s_apps_run_and_never_as_root(data: Path) -> None:
    daemon = Daemon(data, before=WITHOUT_BUBBLEWRAP)
    try:
        daemon.create("mine", {"index.ts": WHO})
        assert daemon.ask("mine").json()["uid"] != 0
        source = {"content": WHO, "headers": {"Host": "localhost", "Content-Type": "text/plain"}}
        guest = httpx.post(f"{daemon.url}/api/apps?name=theirs", timeout=SECONDS_MAX, **source)  # type: ignore[arg-type]
        assert guest.status_code in (401, 403), guest.text
        assert daemon.stop() == 0
    finally:
        daemon.kill()


@hidden
def test_a_required_sandbox_that_does_not_work_is_a_start_up_error(data: Path) -> None:
    said = refused(data, "--listen", "127.0.0.1:0", "--sandbox", "required", before=WITHOUT_BUBBLEWRAP)
    assert "--sandbox required" in said


@hidden
def test_without_a_sandbox_it_listens_on_loopback_only(data: Path) -> None:
    said = refused(data, "--listen", "0.0.0.0:0", before=WITHOUT_BUBBLEWRAP)
    assert "127.0.0.1" in said
