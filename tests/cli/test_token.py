"""The command `token`."""

from __future__ import annotations

import json

from tests.cli.conftest import Api, Steadyd

ONE = {"id": "0011", "label": "ci", "scope": "read", "app": None, "expires_at": None, "last_used_at": None}


def test_tokens_are_listed_made_and_revoked(api: Api, steadyd: Steadyd) -> None:
    server = ("--server", api.url)
    api.answers["GET /api/tokens"] = (200, {"tokens": [ONE]})
    api.answers["POST /api/tokens"] = (201, {"token": ONE, "secret": "steady_x"})
    api.answers["DELETE /api/tokens/0011"] = (200, {})
    assert steadyd("token", *server).stdout.splitlines()[1].split() == ["0011", "ci", "read", "never", "never"]
    made = steadyd("token", "create", "ci", "--scope", "read", "--app", "hello", "--days", "7", *server)
    assert made.stdout == "steady_x\n"
    assert api.asked[-1].body == {"label": "ci", "scope": "read", "app": "hello", "expires_in_days": 7}
    assert json.loads(steadyd("token", "create", "ci", "--json", *server).stdout)["secret"] == "steady_x"
    assert api.asked[-1].body == {"label": "ci"}
    assert steadyd("token", "revoke", "0011", *server).stdout == "0011 is revoked\n"


def test_a_wrong_use_says_how(api: Api, steadyd: Steadyd) -> None:
    for words in (["create"], ["revoke"], ["list", "x"], ["forge", "x"], ["create", "x", "--scope", "root"]):
        assert steadyd("token", *words, "--server", api.url).exit_code == 2, words
    assert api.asked == []
