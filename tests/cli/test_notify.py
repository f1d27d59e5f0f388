"""Where notices go, from a terminal."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Api, Steadyd

URL = "https://ntfy.sh/my-topic"


def settings(notify: str, source: str = "owner") -> tuple[int, dict[str, object]]:
    return 200, {"settings": {"notify": notify}, "sources": {"notify": source}}


def me(notify: str) -> tuple[int, dict[str, object]]:
    return 200, {"user": {"name": "operator", "notify": notify}}


@pytest.mark.parametrize(
    ("words", "expected", "said"),
    [
        ([], ("GET /api/me", me(""), None), "your notices go nowhere; set: steadyd notify https://…"),
        ([], ("GET /api/me", me(URL), None), f"your notices go to {URL}"),
        ([URL], ("PATCH /api/me", me(URL), {"notify": URL}), f"your notices go to {URL}"),
        (["off"], ("PATCH /api/me", me(""), {"notify": ""}), "your notices go nowhere; set: steadyd notify https://…"),
        (["hello"], ("GET /api/apps/hello/settings", settings(URL), None), f"notices about hello go to {URL}"),
        (
            ["hello"],
            ("GET /api/apps/hello/settings", settings("", "host"), None),
            "notices about hello go where yours do",
        ),
        (
            ["hello", URL],
            ("PATCH /api/apps/hello/settings", settings(URL), {"notify": URL}),
            f"about hello go to {URL}",
        ),
        (["hello", "off"], ("PATCH /api/apps/hello/settings", settings(""), {"notify": ""}), "about hello go nowhere"),
    ],
)
def test_show_and_set(
    steadyd: Steadyd, api: Api, words: list[str], expected: tuple[str, tuple[int, object], object], said: str
) -> None:
    call, answer, body = expected
    api.answers[call] = answer
    result = steadyd("notify", *words, "--server", api.url)
    assert (result.exit_code, said in result.output) == (0, True), result.output
    [asked] = api.asked
    assert f"{asked.method} {asked.path}" == call
    assert asked.body == body


def test_a_test_is_sent_after_the_address_was_set(steadyd: Steadyd, api: Api) -> None:
    api.answers["PATCH /api/me"] = me(URL)
    api.answers["POST /api/me/notify/test"] = (200, {"sent": {"host": "ntfy.sh", "status": 200}})
    result = steadyd("notify", URL, "--test", "--server", api.url)
    assert "ntfy.sh took a test notice (200)" in result.output
    assert [asked.method for asked in api.asked] == ["PATCH", "POST"]
    answer = json.loads(steadyd("notify", URL, "--test", "--json", "--server", api.url).output)
    assert answer["sent"] == {"host": "ntfy.sh", "status": 200}


def test_a_test_about_an_app_that_does_not_arrive_says_why(steadyd: Steadyd, api: Api) -> None:
    api.answers["GET /api/apps/hello/settings"] = settings(URL)
    error = {"code": "notify_failed", "message": "The notice was not taken: ntfy.sh answered 403.", "details": {}}
    api.answers["POST /api/apps/hello/notify/test"] = (502, {"error": error})
    result = steadyd("notify", "hello", "--test", "--server", api.url)
    assert result.exit_code == 1
    assert "ntfy.sh answered 403" in result.output
