"""The commands `users`, `suspend` and `resume`."""

from __future__ import annotations

from tests.cli.conftest import Api, Steadyd

ADA = {"name": "ada", "email": "", "apps": 2, "created_at": "2026-01-01T00:00:00Z", "suspended": None}
LINK = {"url": "http://localhost/signup/x", "expires_at": "2026-01-01T00:00:00Z"}


def test_what_the_operator_does_about_users(api: Api, steadyd: Steadyd) -> None:
    server = ("--server", api.url)
    api.answers |= {
        "GET /api/users": (200, {"users": [ADA, {**ADA, "name": "eve", "suspended": "Spam.\x1b"}]}),
        "POST /api/users/invitations": (201, LINK),
        "POST /api/users/ada/reset": (201, LINK),
        "POST /api/users/ada/suspend": (200, {"user": {**ADA, "suspended": "Spam."}}),
        "POST /api/users/ada/resume": (200, {"user": ADA}),
    }
    rows = steadyd("users", *server).stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["NAME", "ada", "eve"]
    assert "\x1b" not in rows[2]
    for todo in (["invite"], ["reset", "ada"]):
        assert steadyd("users", *todo, *server).stdout == "http://localhost/signup/x\n"
    done = steadyd("users", "suspend", "ada", "--reason", "Spam.", *server)
    assert (done.stdout, api.asked[-1].body) == ("ada is suspended: Spam.\n", {"reason": "Spam."})
    assert steadyd("users", "resume", "ada", *server).stdout == "ada is in good standing\n"


def test_apps_are_suspended_and_resumed(api: Api, steadyd: Steadyd) -> None:
    api.answers["POST /api/apps/hello/suspend"] = (200, {"app": {"state": "suspended"}})
    api.answers["POST /api/apps/hello/resume"] = (200, {"app": {"state": "stopped"}})
    assert steadyd("suspend", "hello", "--reason", "x", "--server", api.url).stdout == "hello is suspended\n"
    assert api.asked[-1].body == {"reason": "x"}
    assert steadyd("resume", "hello", "--server", api.url).stdout == "hello is stopped\n"


def test_a_wrong_use_says_how(api: Api, steadyd: Steadyd) -> None:
    for words in (["invite", "x"], ["list", "x"], ["suspend"], ["delete", "x"]):
        assert steadyd("users", *words, "--server", api.url).exit_code == 2, words
    assert api.asked == []
