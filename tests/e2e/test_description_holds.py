"""What openapi.json says is what is answered: schemathesis asks each call rightly and wrongly, with all its checks.

The long form (`make soak`) asks each call far more often, and walks from one call to the next.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.served import Daemon

PROGRAM = Path(sys.executable).parent / "schemathesis"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM.exists(), reason="schemathesis is not installed (pip install .[dev])"),
]

KEEPING = """
import { Database } from "bun:sqlite";
new Database("data.sqlite").run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT)");
export default { fetch: () => new Response("hello") };
"""
CONFIG = """
[parameters]
"path.name" = "scratch"
"path.n" = 1
"path.m" = 1
"path.file" = "data.sqlite"
"path.path" = "index.ts"
"query.follow" = false

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 429, 431, 451, 501, 503]

# Not all that a call asks for is a shape: 422 names the field, or what the app lacks.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 202, 401, 403, 404, 409, 413, 415, 422, 429, 451, 503, 504]
"""
"""Of schemathesis. The app has a version, a database and a file to ask for."""
TAKES_AWAY = ["delete_app", "suspend_app"]
"""What ends the app that all other calls are about."""
LEFT_OUT = ["/api/host/drain", "/api/sessions/current", "/api/me", "/api/apps/{name}/repl"]
"""What would end the daemon, or what is asked with, or never ends itself."""


def hold(daemon: Daemon, folder: Path, token: str, *options: str, takes_away: bool = False) -> None:
    """Run it; fails with what it says."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    origin = f"http://localhost:{daemon.port}"
    command = [str(PROGRAM), "run", f"{origin}/api/openapi.json", "--origin", origin, "--checks", "all", "--seed", "1"]
    # What one may not know of is 404, not 401: tests/web/test_who_may.py.
    command += ["--exclude-checks", "ignored_auth,missing_required_header"]
    command += ["--no-shrink", "--continue-on-failure", "--warnings", "off", "--request-timeout", "30", *options]
    command += ["--header", f"Authorization: Bearer {token}"] if token else []
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    for name in TAKES_AWAY:
        command += ["--exclude-operation-id" if not takes_away else "--include-operation-id", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1_800, check=False)
    said = done.stdout[done.stdout.find("====") :]
    assert done.returncode == 0, f"{said[:60_000]}\n{done.stderr[-2_000:]}\n{''.join(daemon.output)[-2_000:]}"


def scratch(daemon: Daemon) -> None:
    daemon.api("DELETE", "/apps/scratch?purge=1")
    daemon.create("scratch", {"index.ts": KEEPING})
    daemon.ask("scratch")


def a_guest(daemon: Daemon) -> str:
    """The token of a guest who has an app."""
    body = {"name": "a-guests", "files": {"index.ts": KEEPING}}
    return str(httpx.post(f"{daemon.url}/api/apps", json=body, timeout=60).json()["token"])


def test_what_is_described_is_what_is_answered(daemon: Daemon, tmp_path: Path) -> None:
    scratch(daemon)
    hold(daemon, tmp_path, daemon.token, "--phases", "fuzzing", "-n", "1")
    guest = a_guest(daemon)
    for token in (guest, ""):
        hold(daemon, tmp_path, token, "--phases", "fuzzing", "-n", "1")
    hold(daemon, tmp_path, daemon.token, "--phases", "fuzzing", "-n", "1", takes_away=True)
    assert daemon.process.poll() is None
    assert "Traceback" not in "".join(daemon.output)


@pytest.mark.soak
@pytest.mark.parametrize("who", ["operator", "guest", "anonymous"])
def test_it_holds_for_long(daemon: Daemon, tmp_path: Path, who: str) -> None:
    scratch(daemon)
    token = {"operator": daemon.token, "guest": a_guest(daemon), "anonymous": ""}[who]
    hold(daemon, tmp_path, token, "-n", "60")
    daemon.api("POST", "/apps/scratch/suspend", json={})
    hold(daemon, tmp_path, token, "-n", "10")
    hold(daemon, tmp_path, token, "-n", "10", takes_away=True)
    assert "Traceback" not in "".join(daemon.output)
