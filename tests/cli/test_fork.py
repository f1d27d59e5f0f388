"""The command `fork`."""

from __future__ import annotations

import json
from pathlib import Path

from steadyd.cli.tokens import Tokens
from tests.cli.conftest import Api, Steadyd

ANSWER = {
    "app": {"name": "branch", "url": "http://branch.localhost"},
    "at": "2026-11-26T10:00:00Z",
    "notes": ["Its crons are off: tick."],
}


def test_the_fork_s_url_is_printed_and_the_rest_said(api: Api, steadyd: Steadyd, home: Path) -> None:
    api.answers["POST /api/apps/hello/fork"] = (201, ANSWER)
    Tokens(home / "config" / "steadyd").keep(api.url, "hello", "edits-it")
    told = steadyd("fork", "hello", "branch", "--at", "2h ago", "--server", api.url)
    assert (told.exit_code, told.stdout) == (0, "http://branch.localhost\n")
    assert "as of 2026-11-26T10:00:00Z" in told.stderr
    assert "crons are off" in told.stderr
    assert api.asked[0].body == {"name": "branch", "at": "2h ago"}
    assert Tokens(home / "config" / "steadyd").find(api.url, "branch") == "edits-it"
    shown = steadyd("fork", "hello", "branch", "--server", api.url, "--json")
    assert json.loads(shown.stdout) == ANSWER
    assert api.asked[1].body == {"name": "branch"}
