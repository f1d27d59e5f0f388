"""The tokens of a guest, kept for the next command."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from steadyd.cli.tokens import Tokens


def test_kept_by_server_and_app(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "config" / "steadyd")
    assert tokens.find("http://a") == ""
    tokens.keep("http://a", "one", "t1")
    tokens.keep("http://a", "two", "t2")
    assert tokens.find("http://a", "one") == "t1"
    assert tokens.find("http://a", "other") == tokens.find("http://a") == "t2"
    assert tokens.find("http://b", "one") == ""


def test_a_renamed_app_keeps_its_token(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.rename("http://a", "one", "two")
    assert not tokens.path.exists()
    tokens.keep("http://a", "one", "t1")
    tokens.keep("http://a", "other", "t2")
    tokens.rename("http://a", "one", "two")
    assert (tokens.find("http://a", "two"), tokens.find("http://a", "one")) == ("t1", "t2")


def test_a_claimed_app_s_token_is_dropped(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.drop("http://a", "one")
    assert tokens.of_guest("http://a", "one") == ""
    tokens.keep("http://a", "one", "t1")
    tokens.keep("http://a", "two", "t2")
    assert (tokens.of_guest("http://a", "one"), tokens.of_guest("http://a", "other")) == ("t1", "t2")
    tokens.drop("http://a", "one")
    assert tokens.of_guest("http://a", "one") == "t2"


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "new")
    tokens.keep("http://a", "one", "t")
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(tokens.folder.stat().st_mode) == 0o700
    assert [path.name for path in tokens.folder.iterdir()] == ["tokens.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"http://a": 3}', '{"http://a": {"apps": []}}', "\x00"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens.json").write_text(content)
    tokens = Tokens(tmp_path)
    assert tokens.find("http://a", "one") == ""
    tokens.keep("http://a", "one", "t")
    assert tokens.find("http://a", "one") == "t"


def test_who_logs_in_takes_the_place_of_the_guest(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    tokens.keep("http://a", "one", "old guest")
    tokens.keep("http://a", "two", "guest")
    tokens.log_in("http://a", "user")
    assert (tokens.user("http://a"), tokens.guest("http://a")) == ("user", "")
    assert [tokens.find("http://a", app) for app in ("one", "two", "")] == ["old guest", "user", "user"]
    tokens.keep("http://a", "three", "another")
    assert tokens.user("http://a") == "user"
    tokens.log_out("http://a")
    assert (tokens.user("http://a"), tokens.find("http://a", "three")) == ("", "another")
    assert tokens.user("http://b") == ""
