"""Steps as they are told, by whomever, each once."""

from __future__ import annotations

from typing import Any

import pytest

from steadyd.cli.client import Client, Server
from steadyd.cli.progress import Steps, following
from tests.cli.conftest import Api
from tests.served import until


def event(step: str, state: str, **more: Any) -> dict[str, Any]:
    return {"at": "", "kind": "step", "message": "", "details": {"step": step, "state": state, **more}}


def test_each_step_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    steps.told(event("install", "begun"))
    steps.told(event("install", "going on", said="Resolving 2 dependencies."))
    steps.told(event("install", "done", ms=12.3))
    steps.told({"kind": "log", "details": {}})
    steps.told({"kind": "step"})
    steps.told(event("trial", "failed", ms=2_000.0))
    for name in ("install", "trial", "switch"):
        steps.ended({"name": name, "ms": 1.0, "ok": True})
    assert capsys.readouterr().err == (
        "  install  Resolving 2 dependencies.\n  install     12 ms\n  trial     2000 ms  failed\n  switch     1.0 ms\n"
    )


def test_events_are_told_until_the_last(api: Api, home: object, capsys: pytest.CaptureFixture[str]) -> None:
    path = "GET /api/apps/hello/events?tail=0&follow=1"
    last: dict[str, Any] = {"kind": "deploy", "message": "Version 2 is live.", "details": {}}
    api.answers[path] = (200, [event("trial", "done", ms=31.0), last, event("late", "done", ms=1.0)])
    with Client(Server(api.url, "token", False)) as client, following(client, "hello", Steps()):
        pass
    assert capsys.readouterr().err == "  trial       31 ms\n"


def test_who_comes_late_asks_what_they_missed(api: Api, home: object, capsys: pytest.CaptureFixture[str]) -> None:
    """A new app is there to be followed only once it is being made."""
    with Client(Server(api.url, "token", False)) as client, following(client, "hello", Steps()):
        steps = [{"name": "install", "ms": 5.0, "ok": True}]
        api.answers["GET /api/apps/hello/operations?limit=1"] = (200, {"operations": [{"steps": steps}]})
        last: dict[str, Any] = {"kind": "create", "message": "", "details": {}}
        api.answers["GET /api/apps/hello/events?tail=0&follow=1"] = (200, [event("trial", "done", ms=9.0), last])
        until(lambda: any("operations" in asked.path for asked in api.asked))
    assert capsys.readouterr().err == "  install    5.0 ms\n  trial      9.0 ms\n"


@pytest.mark.parametrize(
    "answer", [(403, {"error": {"code": "forbidden", "message": "No.", "details": {}}}), (200, [1])]
)
def test_what_goes_wrong_there_is_no_failure(api: Api, home: object, answer: tuple[int, Any]) -> None:
    api.answers["GET /api/apps/hello/events?tail=0&follow=1"] = answer
    with Client(Server(api.url, "token", False)) as client, following(client, "hello", Steps()):
        pass
    asked = len(api.asked)
    with Client(Server(api.url, "", False)) as client, following(client, "hello", Steps()):
        pass
    assert len(api.asked) == asked, "who shows no token follows nothing"
