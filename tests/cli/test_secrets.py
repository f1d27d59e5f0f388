"""The key of stored variables, from a terminal."""

from __future__ import annotations

import json

from tests.cli.conftest import Api, Steadyd


def test_the_key_is_changed(steadyd: Steadyd, api: Api) -> None:
    api.answers["POST /api/host/secrets/rotate"] = (200, {"secrets": {"sealed": 3}})
    result = steadyd("secrets", "rotate", "--server", api.url)
    assert (result.exit_code, result.stdout) == (0, "3 values are sealed with a new key\n")
    answer = json.loads(steadyd("secrets", "rotate", "--json", "--server", api.url).stdout)
    assert answer == {"secrets": {"sealed": 3}}


def test_it_is_rotated_or_nothing(steadyd: Steadyd, api: Api) -> None:
    assert steadyd("secrets", "--server", api.url).exit_code == 2
    assert steadyd("secrets", "show", "--server", api.url).exit_code == 2
