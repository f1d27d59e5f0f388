"""The commands that look."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Api, Steadyd

HELLO = {
    "name": "hello",
    "url": "http://hello.localhost",
    "state": "running",
    "version": 2,
    "owner": "me",
    "created_at": "2026-01-01T00:00:00Z",
    "limits": {"memory_bytes": 256 << 20},
    "usage": {"memory_bytes": 32 << 20, "requests": 7},
    "last_death": {"at": "2026-01-01T00:00:00Z", "message": "Version 1 died: \x1b[2J"},
}


def test_apps(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps"] = (200, {"apps": [HELLO, {"name": "old", "state": "stopped"}]})
    lines = steadyd("apps", "--server", api.url).stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "VERSION", "MEMORY", "URL"]
    assert lines[1].split() == "hello running 2 32.0 MiB of 256.0 MiB http://hello.localhost".split()
    assert json.loads(steadyd("apps", "--server", api.url, "--json").stdout)["apps"][0] == HELLO


def test_no_apps_says_what_to_do(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps"] = (200, {"apps": []})
    result = steadyd("apps", "--server", api.url)
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "steadyd deploy" in result.stderr


def test_deleted_apps(api: Api, steadyd: Steadyd) -> None:
    gone = {
        "name": "gone",
        "state": "deleted",
        "deleted_at": "2026-01-01T00:00:00Z",
        "kept_until": "2026-01-31T00:00:00Z",
    }
    api.answers["GET /api/apps?deleted=1"] = (200, {"apps": [gone, {"name": "kept", "kept_until": None}]})
    lines = steadyd("apps", "--deleted", "--server", api.url).stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "SINCE", "KEPT", "UNTIL"]
    assert lines[1].split()[0] == "gone"
    assert "2026-01-31" in lines[1]
    assert lines[2].split() == ["kept"]


def test_show(api: Api, steadyd: Steadyd) -> None:
    api.answers["GET /api/apps/hello"] = (200, {"app": HELLO})
    shown = steadyd("show", "hello", "--server", api.url).stdout
    assert "state       running\n" in shown
    assert "Version 1 died: \\x1b[2J" in shown
    assert "expires" not in shown
    assert json.loads(steadyd("show", "hello", "--server", api.url, "--json").stdout) == {"app": HELLO}


def test_an_app_that_is_not_there(api: Api, steadyd: Steadyd) -> None:
    result = steadyd("show", "none", "--server", api.url)
    assert (result.exit_code, result.stderr) == (1, "steadyd: There is no such thing.\n")


def test_versions(api: Api, steadyd: Steadyd) -> None:
    made = {"created_at": "2026-01-01T00:00:00Z", "source": "json", "author": "ada"}
    listed = [made | {"version": 2, "live": True, "message": "second"}, made | {"version": 1, "remix_of": "other"}]
    api.answers["GET /api/apps/hello/versions"] = (200, {"versions": listed})
    lines = steadyd("versions", "hello", "--server", api.url).stdout.splitlines()
    assert lines[1].startswith("2        live  2026-01-01 ")
    assert lines[1].split()[-3:] == ["ada", "json", "second"]
    assert lines[2].startswith("1              2026-01-01 ")
    assert lines[2].endswith("remix of other")
    assert "versions" in json.loads(steadyd("versions", "hello", "--server", api.url, "--json").stdout)


def test_open_prints_the_url_and_starts_the_browser(
    api: Api, steadyd: Steadyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    import webbrowser

    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        return len(opened) > 1

    monkeypatch.setattr(webbrowser, "open", browse)
    api.answers["GET /api/apps/hello"] = (200, {"app": HELLO})
    result = steadyd("open", "hello", "--server", api.url)
    assert (result.stdout, opened) == ("http://hello.localhost\n", ["http://hello.localhost"])
    assert "yourself" in result.stderr
    assert steadyd("open", "hello", "--server", api.url, "--json").stderr == ""
