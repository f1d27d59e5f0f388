"""`--sandbox auto|required|off` where a sandbox can be made and where it cannot, as root and as an ordinary user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.served import NOBODY, ROOT, Daemon, as_ordinary_user, data_folder, refused, remove

SECONDS_MAX = 20
FENCE = (sys.executable, str(ROOT / "tests" / "fence.py"))
DOCKER_CAPABILITIES = (
    "chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill"
    " audit_write"
)
IN_A_CONTAINER = f"--bounding-set=-all,{','.join(f'+{name}' for name in DOCKER_CAPABILITIES.split())}"
OBSTACLES = {
    "no bubblewrap": (
        ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/bin/bwrap && exec "$@"', "sh"),
        "Install it with: apt-get install bubblewrap",
    ),
    "namespaces refused": ((*FENCE, "userns"), "No permissions to create new namespace"),
    "namespaces limited": ((*FENCE, "limit"), "sudo sysctl -w user.max_user_namespaces=15000"),
    "in a container": ((*FENCE, "container", "setpriv", IN_A_CONTAINER), "--security-opt seccomp=unconfined"),
}
WHO = 'export default { fetch: () => new Response(require("node:fs").readFileSync("/proc/self/status", "utf8")) };'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be either, and put things in the way")


@pytest.fixture
def data() -> Iterator[Path]:
    folder = data_folder()
    yield folder
    remove(folder)


@pytest.fixture(params=["root", "user"])
def user(request: pytest.FixtureRequest, data: Path) -> tuple[str, ...]:
    if request.param == "root":
        return ()
    os.chown(data.parent, NOBODY, NOBODY)
    return as_ordinary_user()


def uid_of(status: str) -> set[str]:
    return set(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:])


def stranger(daemon: Daemon, path: str) -> httpx.Response:
    """A browser that nobody is logged in with."""
    headers = {"Host": f"localhost:{daemon.port}", "Accept": "text/html"}
    return httpx.get(f"{daemon.url}{path}", headers=headers, timeout=SECONDS_MAX)


@pytest.mark.parametrize("obstacle", list(OBSTACLES))
def test_without_a_sandbox_only_the_operator_s_apps_run_and_everybody_is_told(
    obstacle: str, user: Sequence[str], data: Path
) -> None:
    before, said = OBSTACLES[obstacle]
    daemon = Daemon(data, "--guests", "on", "--signup", "open", before=(*before, *user))
    try:
        daemon.create("mine", {"index.ts": WHO})
        assert "0" not in uid_of(daemon.ask("mine").text), "never as root"

        told = daemon.api("GET", "/host").json()["host"]
        assert told["guests"] is False
        problem = told["missing"][0]
        assert said in problem
        assert problem in "".join(daemon.output)
        for path in ("/", "/login", "/api/docs", "/nothing"):
            assert 'class="missing"' in stranger(daemon, path).text, path

        headers = {"Host": "localhost", "Content-Type": "text/plain"}
        guest = httpx.post(f"{daemon.url}/api/apps?name=theirs", content=WHO, headers=headers, timeout=SECONDS_MAX)
        assert guest.status_code in (401, 403), guest.text
        assert daemon.stop() == 0
    finally:
        daemon.kill()


@pytest.mark.parametrize("obstacle", list(OBSTACLES))
def test_what_then_may_not_start_says_what_mends_it(obstacle: str, user: Sequence[str], data: Path) -> None:
    """Required, or open to others."""
    before, said = OBSTACLES[obstacle]
    for options in (["--listen", "127.0.0.1:0", "--sandbox", "required"], ["--listen", "0.0.0.0:0"]):
        told = refused(data, *options, before=(*before, *user))
        assert said in told
        assert ("--sandbox required" if len(options) > 2 else "127.0.0.1") in told


@pytest.mark.sandbox
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_with_a_sandbox_nothing_is_missing(mode: str, user: Sequence[str], data: Path) -> None:
    daemon = Daemon(data, "--sandbox", mode, before=user)
    try:
        daemon.create("mine", {"index.ts": WHO})
        status = daemon.ask("mine").text
        assert uid_of(status) == {"1000"}
        assert "Seccomp:\t2" in status
        host = daemon.api("GET", "/host").json()["host"]
        # An ordinary user may also lack a network for apps: that is another thing, and told as well.
        lacking = [sentence for sentence in host["missing"] if not sentence.startswith("Apps have no network")]
        assert (host["guests"], lacking) == (True, [])
        assert stranger(daemon, "/").text.count('class="missing"') == len(host["missing"])
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_switched_off_it_says_so_and_still_runs_nothing_as_root(user: Sequence[str], data: Path) -> None:
    daemon = Daemon(data, "--sandbox", "off", before=user)
    try:
        daemon.create("mine", {"index.ts": WHO})
        status = daemon.ask("mine").text
        assert not {"0", "1000"} & uid_of(status)
        assert "--sandbox off" in daemon.api("GET", "/host").json()["host"]["missing"][0]
        assert 'class="missing"' in stranger(daemon, "/").text
        assert daemon.stop() == 0
        assert "127.0.0.1" in refused(data, "--listen", "0.0.0.0:0", "--sandbox", "off", before=user)
    finally:
        daemon.kill()
