"""The commands that change an app's life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steadyd.cli.tokens import Tokens
from tests.cli.conftest import Api, Steadyd


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "undelete"])
def test_each_verb_posts_and_says_the_state(api: Api, steadyd: Steadyd, verb: str) -> None:
    api.answers[f"POST /api/apps/hello/{verb}"] = (200, {"app": {"name": "hello", "state": "running"}})
    result = steadyd(verb, "hello", "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "hello is running\n")
    assert json.loads(steadyd(verb, "hello", "--server", api.url, "--json").stdout)["app"]["state"] == "running"
    assert api.asked[0].body == {}


def test_hold(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/apps/hello/stop"] = (200, {"app": {"name": "hello", "state": "held"}})
    assert steadyd("stop", "hello", "--hold", "--server", api.url).stdout == "hello is held\n"
    assert api.asked[0].body == {"hold": True}


def test_delete_says_how_to_come_back(api: Api, steadyd: Steadyd) -> None:
    api.answers["DELETE /api/apps/hello"] = (204, b"")
    assert "steadyd undelete hello" in steadyd("delete", "hello", "--server", api.url).stdout
    assert json.loads(steadyd("delete", "hello", "--server", api.url, "--json").stdout) == {"deleted": "hello"}


def test_rollback(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/apps/hello/rollback"] = (201, {"app": {"url": "http://hello.localhost"}})
    assert steadyd("rollback", "hello", "2", "--server", api.url).stdout == "http://hello.localhost\n"
    assert api.asked[0].body == {"version": 2, "data": "keep"}
    assert steadyd("rollback", "hello", "zero", "--server", api.url).exit_code == 2
    assert "app" in json.loads(steadyd("rollback", "hello", "2", "--server", api.url, "--json").stdout)
    assert steadyd("rollback", "hello", "2", "--env", "--server", api.url).exit_code == 0
    assert api.asked[-1].body == {"version": 2, "data": "keep", "env": True}
    assert steadyd("rollback", "hello", "2", "--data", "keep", "--server", api.url).exit_code == 0
    assert steadyd("rollback", "hello", "2", "--data", "lose", "--server", api.url).exit_code == 2


def test_rename(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/apps/hello/rename"] = (200, {"app": {"name": "other", "url": "http://other.localhost"}})
    assert steadyd("rename", "hello", "other", "--server", api.url).stdout == "http://other.localhost\n"
    assert api.asked[0].body == {"name": "other"}
    assert json.loads(steadyd("rename", "hello", "other", "--server", api.url, "--json").stdout)["app"]


def test_claim_shows_the_kept_token_of_the_guest_and_goes_as_oneself(api: Api, steadyd: Steadyd, home: Path) -> None:
    tokens = Tokens(home / "config" / "steadyd")
    tokens.keep(api.url, "hello", "steady_guest")
    api.answers["POST /api/apps/hello/claim"] = (200, {"app": {"url": "http://hello.localhost"}})
    result = steadyd("claim", "hello", "--server", api.url, "--token", "steady_mine")
    assert result.stdout == "http://hello.localhost\n"
    assert (api.asked[0].body, api.asked[0].authorization) == ({"token": "steady_guest"}, "Bearer steady_mine")
    tokens.keep(api.url, "other", "steady_last")
    steadyd("claim", "hello", "--server", api.url, "--token", "steady_mine", "--guest-token", "steady_told", "--json")
    assert api.asked[1].body == {"token": "steady_told"}
