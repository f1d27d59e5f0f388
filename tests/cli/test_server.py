"""The options that choose a server."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Api, Steadyd


def test_without_a_server_the_local_daemon_is_asked_as_its_operator(home: Path, api: Api, steadyd: Steadyd) -> None:
    data = home / "data" / "steadyd"
    data.mkdir(parents=True)
    (data / "url").write_text(api.url)
    (data / "operator.token").write_text("op")
    api.answers["GET /api/apps"] = (200, {"apps": []})
    assert steadyd("apps").exit_code == 0
    assert steadyd("apps", "--server", api.url).exit_code == 0
    assert steadyd("apps", "--token", "mine").exit_code == 0
    assert steadyd("apps", env={"STEADYD_SERVER": api.url, "STEADYD_TOKEN": "env"}).exit_code == 0
    assert [a.authorization for a in api.asked] == ["Bearer op", "", "Bearer mine", "Bearer env"]


def test_data_names_the_daemons_folder(home: Path, api: Api, steadyd: Steadyd) -> None:
    other = home / "other"
    other.mkdir()
    (other / "url").write_text(api.url)
    api.answers["GET /api/apps"] = (200, {"apps": []})
    api.answers["POST /api/apps/x/rollback"] = (201, {"app": {"url": "http://x"}})
    assert steadyd("apps", "--data", str(other)).exit_code == 0
    assert steadyd("rollback", "x", "1", env={"STEADYD_DATA": str(other)}).stdout == "http://x\n"
    assert steadyd("rollback", "x", "1", "--data", str(other)).exit_code == 2


def test_a_wrong_url_is_a_plain_failure(steadyd: Steadyd) -> None:
    result = steadyd("apps", "--server", "http://x/api")
    assert result.exit_code == 1
    assert result.stderr == "steadyd: “http://x/api” is not a server's URL; write it like http://localhost:8080\n"
