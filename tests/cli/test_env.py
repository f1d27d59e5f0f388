"""Variables from a terminal: what the API is asked, and that no value is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from steadyd.cli.program import program
from tests.cli.conftest import Api, Steadyd

PATH = "/api/apps/hello/env"
TOLD = {"env": {"API_KEY": {"secret": True, "updated_at": "2026-01-01T00:00:00Z", "contexts": ["production"]}}}


def patch(api: Api, query: str = "") -> None:
    api.answers[f"PATCH {PATH}{query}"] = (200, TOLD)


def body(api: Api) -> Any:
    [asked] = api.asked
    assert asked.method == "PATCH"
    return asked.body


@pytest.mark.parametrize("words", [[], ["list"]])
def test_names_are_listed(steadyd: Steadyd, api: Api, words: list[str]) -> None:
    trial = {"secret": False, "updated_at": "2026-01-01T00:00:00Z", "contexts": ["production", "trial"]}
    api.answers[f"GET {PATH}"] = (200, {"env": {**TOLD["env"], "GREETING": trial}})
    result = steadyd("env", "hello", *words, "--server", api.url)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert (lines[1][:2], lines[1][-1]) == (["API_KEY", "secret"], lines[1][3])
    assert (lines[2][:2], lines[2][-2:]) == (["GREETING", "plain"], ["production,", "trial"])
    assert json.loads(steadyd("env", "hello", *words, "--json", "--server", api.url).stdout)["env"].keys()


def test_an_app_without_any_says_how_to_set_one(steadyd: Steadyd, api: Api) -> None:
    api.answers[f"GET {PATH}?context=trial"] = (200, {"env": {}})
    result = steadyd("env", "hello", "--context", "trial", "--server", api.url)
    assert (result.exit_code, "env hello set KEY=VALUE" in result.stderr) == (0, True)


def test_pairs_are_set_and_names_are_removed(steadyd: Steadyd, api: Api) -> None:
    patch(api)
    result = steadyd("env", "hello", "set", "A=1", "B=x=y", "C=", "--server", api.url)
    assert (body(api), result.stdout) == ({"A": "1", "B": "x=y", "C": ""}, "A is set\nB is set\nC is set\n")
    api.asked.clear()
    result = steadyd("env", "hello", "unset", "A", "B", "--server", api.url)
    assert (body(api), result.stdout) == ({"A": None, "B": None}, "A is removed\nB is removed\n")


def test_what_they_are_and_for_whom(steadyd: Steadyd, api: Api) -> None:
    patch(api, "?context=trial")
    steadyd("env", "hello", "set", "A=1", "--secret", "--context", "trial", "--server", api.url)
    assert body(api) == {"A": {"value": "1", "secret": True}}
    api.asked.clear()
    steadyd("env", "hello", "set", "A_KEY=1", "--plain", "--context", "trial", "--server", api.url)
    assert body(api) == {"A_KEY": {"value": "1", "secret": False}}


def given(api: Api, text: str, *words: str) -> Result:
    return CliRunner().invoke(program, ["env", "hello", *words, "--server", api.url], input=text, prog_name="steadyd")


def test_one_value_is_read_from_standard_input(home: Path, api: Api) -> None:
    patch(api)
    result = given(api, "hush\n", "set", "A")
    assert body(api) == {"A": "hush"}
    assert "hush" not in result.output


def test_a_file_is_imported(steadyd: Steadyd, home: Path, api: Api, tmp_path: Path) -> None:
    patch(api)
    file = tmp_path / ".env"
    file.write_text("A='hush'\nPORT=3000\nexport B=2\n")
    result = steadyd("env", "hello", "import", str(file), "--server", api.url)
    assert body(api) == {"A": "hush", "B": "2"}
    assert "left out  PORT (steadyd chooses where the app listens)" in result.stderr
    assert "hush" not in result.output
    api.asked.clear()
    assert given(api, "C=3\n", "import", "-").exit_code == 0
    assert body(api) == {"C": "3"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"A=1\nhush", "Line 2"),
        (b"# nothing\nPORT=1\n", "sets no variable"),
        (b"A=\xff", "is not UTF-8"),
        (b"A=" + b"x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_imported_changes_nothing(
    steadyd: Steadyd, api: Api, tmp_path: Path, text: bytes, said: str
) -> None:
    (tmp_path / "x").write_bytes(text)
    result = steadyd("env", "hello", "import", str(tmp_path / "x"), "--server", api.url)
    assert (result.exit_code, said in result.stderr, api.asked) == (1, True, [])
    assert "hush" not in result.output


@pytest.mark.parametrize(
    "words", [["set"], ["unset"], ["import"], ["list", "A"], ["nope"], ["set", "A=1", "B"], ["import", "a", "b"]]
)
def test_what_is_said_wrongly(steadyd: Steadyd, api: Api, words: list[str]) -> None:
    assert steadyd("env", "hello", *words, "--server", api.url).exit_code == 2


def test_a_refusal_is_one_line(steadyd: Steadyd, api: Api) -> None:
    error = {"code": "deploy_failed", "message": "It does not start that way.", "details": {}}
    api.answers[f"PATCH {PATH}"] = (422, {"error": error})
    result = steadyd("env", "hello", "set", "A=hush", "--server", api.url)
    assert (result.exit_code, result.stderr) == (1, "steadyd: It does not start that way.\n")
