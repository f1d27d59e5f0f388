from __future__ import annotations

import json

from tests.cli.conftest import Api, Steadyd

TARGETS = {"targets": ["10.0.0.5:5432", "host:11434"]}


def test_allow_opens_and_lists(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/apps/hello/targets"] = api.answers["GET /api/apps/hello/targets"] = (200, TARGETS)
    assert steadyd("allow", "hello", "host:11434", "--server", api.url).stdout == "10.0.0.5:5432\nhost:11434\n"
    assert api.asked[0].body == {"target": "host:11434"}
    assert json.loads(steadyd("allow", "hello", "--server", api.url, "--json").stdout) == TARGETS
    assert api.asked[1].method == "GET"


def test_refuse_closes(api: Api, steadyd: Steadyd) -> None:
    api.answers["DELETE /api/apps/hello/targets/host:11434"] = (200, {"targets": []})
    result = steadyd("refuse", "hello", "host:11434", "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No private address is open to hello.\n"


def test_what_the_server_refuses_is_said(api: Api, steadyd: Steadyd) -> None:
    error = {"error": {"code": "invalid", "message": "“x” is no target.", "details": {}}}
    api.answers["POST /api/apps/hello/targets"] = (422, error)
    result = steadyd("allow", "hello", "x", "--server", api.url)
    assert result.exit_code == 1
    assert "is no target" in result.stderr
