"""The systemd unit: what systemd says to it, and a daemon that really lives within it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.cli import isolation
from steadyd.cli.unit import CAPABILITIES, Place, capabilities, quoted, this_place, unit
from steadyd.config import Address
from tests.served import Daemon, data_folder, remove, until

LISTEN = Address("127.0.0.1", 8080)
STICKY = """
import { mkdirSync, writeFileSync, chmodSync } from "node:fs";
mkdirSync("sticky", { recursive: true });
writeFileSync("sticky/file", "mine");
chmodSync("sticky", 0o1700);
export default { fetch: () => new Response("hello") };
"""
"""Only its owner, and who has CAP_FOWNER, may remove a file from a folder of that mode (unlink(2))."""
WITHIN = r"""
set -e
mkdir -p /run/steadyd
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind /run/steadyd /run/steadyd
mount -o remount,bind,ro /
capabilities=$2
shift 2
exec setpriv --bounding-set="$capabilities" --inh-caps=-all --no-new-privs "$@"
"""
"""What systemd does for ProtectSystem=strict, CapabilityBoundingSet= and NoNewPrivileges=; `$1` stays writable."""


def place(data: str = "/var/lib/steadyd", listen: Address = LISTEN) -> Place:
    return Place(("/opt/steadyd/bin/steadyd",), (Path("/opt/steadyd"), Path("/usr")), Path(data), listen)


def value(text: str, name: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}=")]
    return line.partition("=")[2]


def test_the_usual_place() -> None:
    text = unit(place())
    command = "/opt/steadyd/bin/steadyd serve --sandbox required --listen 127.0.0.1:8080 --data /var/lib/steadyd"
    assert value(text, "ExecStart") == command
    assert (value(text, "StateDirectory"), value(text, "ProtectHome")) == ("steadyd", "yes")
    assert value(text, "PrivateTmp") == "yes"
    assert "ReadWritePaths" not in text


def test_another_data_folder_is_made_and_stays_writable() -> None:
    text = unit(place("/srv/my data"))
    assert value(text, "ReadWritePaths") == '"/srv/my data"'
    assert value(text, "ExecStartPre") == '+/usr/bin/install -d -m 0711 "/srv/my data"'
    assert value(text, "ExecStart").endswith('--data "/srv/my data"')
    assert "StateDirectory" not in text


def test_a_home_and_a_temporary_folder_stay_in_sight() -> None:
    assert value(unit(place("/home/ann/steadyd")), "ProtectHome") == "read-only"
    assert value(unit(place("/tmp/steadyd")), "PrivateTmp") == "no"
    here = Place(("/usr/bin/python3", "-m", "steadyd"), (Path("/root/venv"),), Path("/srv"), LISTEN)
    assert value(unit(here), "ProtectHome") == "read-only"


def test_only_a_low_port_needs_the_power_to_bind_it() -> None:
    assert "CAP_NET_BIND_SERVICE" in capabilities(Address("0.0.0.0", 80))
    assert capabilities(LISTEN) == capabilities(Address("127.0.0.1", 0)) == list(CAPABILITIES)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("/srv/a", "/srv/a"), ("/srv/a b", '"/srv/a b"'), ('a"b\\', '"a\\"b\\\\"'), ("50%", '"50%%"')],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, expected: str) -> None:
    assert quoted(word) == expected


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("data", ["/var/lib/steadyd", "/srv/my 50% data"])
def test_systemd_has_nothing_to_say(tmp_path: Path, data: str) -> None:
    file = tmp_path / "steadyd.service"
    file.write_text(unit(this_place(Path(data), Address("0.0.0.0", 80))))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if "steadyd" in line]
    assert (done.returncode, said) == (0, [])


@pytest.fixture
def data() -> Iterator[Path]:
    data = data_folder()
    yield data
    remove(data)


@pytest.mark.sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="the unit's daemon is root")
def test_a_daemon_lives_within_the_unit(data: Path) -> None:
    """The capabilities suffice, under a read-only disk and without new privileges: an app is made, changed, woken."""
    kept = ["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities(LISTEN))]
    before = ["unshare", "--mount", "sh", "-c", WITHIN, "sh", str(data.parent), ",".join(kept)]
    daemon = Daemon(data, "--sandbox", "required", before=before)
    try:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        assert "CapBnd:\t000001ffffffffff" not in status
        assert "NoNewPrivs:\t1" in status
        missing = daemon.api("GET", "/host").json()["host"]["missing"]
        assert missing == [] or isolation.network().state == "problem"
        daemon.create("within", {"index.ts": STICKY})
        assert daemon.ask("within").text == "hello"
        changed = daemon.api(
            "POST", "/apps/within/deploys", json={"files": {"index.ts": STICKY.replace("hello", "jello")}}
        )
        assert changed.status_code == 201, changed.text
        assert daemon.api("POST", "/apps/within/stop").status_code == 200
        assert daemon.ask("within").text == "jello"
        assert "plain start" not in "".join(daemon.output), "nor do zygotes lack a power"
        gone = daemon.api("DELETE", "/apps/within?purge=1")
        assert gone.status_code == 204, gone.text
        until(lambda: not list((data / "apps").glob("*/app/sticky/file")))
        assert daemon.stop() == 0
        assert daemon.instances() == []
    finally:
        daemon.kill()
