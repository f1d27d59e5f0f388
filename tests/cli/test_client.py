"""The API client: which server, as whom, and how a refusal reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadyd.cli.client import (
    DEFAULT_SERVER,
    STREAM_LINE_BYTES_MAX,
    Client,
    Refused,
    Server,
    app_path,
    checked_url,
    find_server,
)
from steadyd.cli.verb import Failure
from tests.cli.conftest import Api


def client_of(api: Api, token: str = "") -> Client:
    return Client(Server(api.url, token, is_local=True))


def test_the_local_daemon_is_found_by_its_files(tmp_path: Path) -> None:
    assert find_server(None, tmp_path, None) == Server(DEFAULT_SERVER, "", True)
    (tmp_path / "url").write_text("http://localhost:9\n")
    (tmp_path / "operator.token").write_text("secret\n")
    assert find_server(None, tmp_path, None) == Server("http://localhost:9", "secret", True)
    assert find_server(None, tmp_path, "mine").token == "mine"


def test_a_named_server_never_gets_the_operators_token(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://localhost:9")
    (tmp_path / "operator.token").write_text("secret")
    assert find_server("http://localhost:9", tmp_path, None) == Server("http://localhost:9", "", False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://A.example/", "https://a.example"),
        ("localhost:8080", "http://localhost:8080"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_urls_in_one_spelling(text: str, url: str) -> None:
    assert checked_url(text) == url


@pytest.mark.parametrize("text", ["ftp://x", "http://", "http://x/apps", "http://x?a=b", "://"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(Failure, match="not a server's URL"):
        checked_url(text)


def test_a_call_carries_the_token_and_the_body(home: Path, api: Api) -> None:
    api.answers["PUT /api/apps/x"] = (201, {"app": {}})
    api.answers["DELETE /api/apps/x"] = (204, b"")
    with client_of(api, "t") as client:
        assert client.call("PUT", app_path("x"), {"files": {}}) == {"app": {}}
        assert client.call("DELETE", app_path("x")) == {}
    assert [(a.authorization, a.body) for a in api.asked] == [("Bearer t", {"files": {}}), ("Bearer t", None)]


def test_a_kept_token_is_used(home: Path, api: Api) -> None:
    api.answers["GET /api/apps/x"] = (200, {})
    with client_of(api) as client:
        client.call("GET", app_path("x"), app="x")
        client.tokens.keep(api.url, "x", "kept")
        client.call("GET", app_path("x"), app="x")
    assert [a.authorization for a in api.asked] == ["", "Bearer kept"]


def test_a_refusal_is_the_servers_sentence(home: Path, api: Api) -> None:
    with client_of(api) as client, pytest.raises(Refused) as caught:
        client.call("GET", "/none")
    assert (caught.value.status, caught.value.code, caught.value.message) == (
        404,
        "not_found",
        "There is no such thing.",
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"<html>"), "not as a steadyd server does"),
        ((200, b"<html>"), "not as a steadyd server does"),
        ((200, ["x"]), "not as a steadyd server does"),
        ((500, {"error": "x"}), "not as a steadyd server does"),
        ((301, b""), "has moved to https://elsewhere.example/"),
    ],
)
def test_somebody_elses_server(home: Path, api: Api, answer: tuple[int, object], said: str) -> None:
    api.answers["GET /api/apps"] = answer
    with client_of(api) as client, pytest.raises(Failure, match=said):
        client.call("GET", "/apps")


def test_nobody_there_says_what_to_do(home: Path) -> None:
    with (
        Client(Server("http://127.0.0.1:1", "", is_local=True)) as client,
        pytest.raises(Failure, match="steadyd serve"),
    ):
        client.call("GET", "/apps")
    with Client(Server("http://127.0.0.1:1", "", is_local=False)) as client, pytest.raises(Failure) as caught:
        client.call("GET", "/apps")
    assert "steadyd serve" not in caught.value.message


def test_a_stream_comes_line_by_line(home: Path, api: Api) -> None:
    api.answers["GET /api/apps/x/logs?tail=2"] = (200, [{"text": "a\u2028\r"}, {"text": "b"}])
    with client_of(api) as client:
        assert list(client.stream("/apps/x/logs", {"tail": 2}, "x")) == [{"text": "a\u2028\r"}, {"text": "b"}]
        with pytest.raises(Refused):
            list(client.stream("/apps/y/logs", {}, "y"))


def test_a_stream_has_a_limit(home: Path, api: Api) -> None:
    api.answers["GET /api/x"] = (200, b"x" * (STREAM_LINE_BYTES_MAX + 1))
    with client_of(api) as client, pytest.raises(Failure, match="longer than"):
        list(client.stream("/x", {}, ""))
    api.answers["GET /api/x"] = (200, b"<html>\n")
    with client_of(api) as client, pytest.raises(Failure, match="not JSON"):
        list(client.stream("/x", {}, ""))


def test_a_name_cannot_leave_its_place() -> None:
    assert app_path("../host", "/stop") == "/apps/..%2Fhost/stop"
