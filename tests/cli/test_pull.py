"""The command `pull`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Api, Steadyd
from tests.test_appfile import GOOD, packed, said

CONTENT = packed(said(), GOOD).getvalue()


def test_an_app_as_a_file(api: Api, steadyd: Steadyd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    api.answers["GET /api/apps/hello/archive"] = (200, CONTENT)
    result = steadyd("pull", "hello", "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "hello.steady\n"), result.stderr
    assert (tmp_path / "hello.steady").read_bytes() == CONTENT
    api.answers["GET /api/apps/hello/archive?data=1&at=2h+ago"] = (200, CONTENT)
    words = ("pull", "hello", "--data", "--at", "2h ago", "-o", str(tmp_path / "x.steady"), "--server", api.url)
    assert json.loads(steadyd(*words, "--json").stdout)["versions"] == [1]
    assert (tmp_path / "x.steady").read_bytes() == CONTENT


def test_an_app_as_a_folder(api: Api, steadyd: Steadyd, tmp_path: Path) -> None:
    api.answers["GET /api/apps/hello/archive?data=1"] = (200, CONTENT)
    result = steadyd("pull", "hello", "--data", "--into", str(tmp_path / "new"), "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'new'}\n"), result.stderr
    assert (tmp_path / "new/index.ts").read_bytes() == GOOD[0][1]
    assert (tmp_path / "new/data.sqlite").read_bytes() == GOOD[1][1]


def test_what_breaks_off_replaces_nothing(api: Api, steadyd: Steadyd, tmp_path: Path) -> None:
    target = tmp_path / "hello.steady"
    target.write_bytes(b"older")
    for answer in ((200, CONTENT[:-200]), (404, {"error": {"code": "not_found", "message": "Gone.", "details": {}}})):
        api.answers["GET /api/apps/hello/archive"] = answer
        assert steadyd("pull", "hello", "-o", str(target), "--server", api.url).exit_code == 1
    assert target.read_bytes() == b"older"
    assert list(tmp_path.glob("*.steady*")) + list(tmp_path.glob(".hello*")) == [target]


def test_a_file_or_a_folder(api: Api, steadyd: Steadyd) -> None:
    assert steadyd("pull", "hello", "-o", "x", "--into", "y", "--server", api.url).exit_code == 2
