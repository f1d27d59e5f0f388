"""The command line and a real daemon: the whole life of an app, typed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from steadyd.cli.deploy import JSON_BYTES_MAX
from tests.cli.conftest import Steadyd
from tests.served import Daemon, until

SOURCE = """console.log("version %s speaking \\x1b[31m");
export default { fetch(request) { console.log(request.url); return new Response("%s"); } };
"""

COUNTING = """import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
export default { fetch() {
  db.run("INSERT INTO t VALUES (1)");
  return new Response(String(db.query("SELECT count(*) AS n FROM t").get().n));
} };
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "index.ts").write_text(SOURCE % ("one", "one"))
    (folder / ".env").write_text("SECRET=1")
    (folder / "logo.bin").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def operator(steadyd: Steadyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Steadyd:
    """The command as the person who started the daemon types it: without --server."""
    monkeypatch.setenv("STEADYD_DATA", str(daemon.data))
    return steadyd


def test_the_variables_of_an_app(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    (app / "index.ts").write_text("export default { fetch: () => new Response(process.env.SECRET ?? 'none') };")
    assert operator("deploy", str(app), "--name", "varied", "--env-file", str(app / ".env")).exit_code == 0
    assert daemon.ask("varied").text == "1"
    assert operator("env", "varied", "set", "SECRET=two", "OTHER=3").stdout == "SECRET is set\nOTHER is set\n"
    assert daemon.ask("varied").text == "two"
    listed = operator("env", "varied").stdout
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [["OTHER", "plain"], ["SECRET", "secret"]]
    assert operator("env", "varied", "import", str(app / ".env")).exit_code == 0
    assert daemon.ask("varied").text == "1"
    assert operator("env", "varied", "unset", "SECRET").exit_code == 0
    assert daemon.ask("varied").text == "none"
    assert operator("secrets", "rotate").stdout.endswith("values are sealed with a new key\n")


@pytest.mark.parametrize("ballast_bytes", [0, JSON_BYTES_MAX], ids=["as JSON", "as an archive"])
def test_a_database_goes_along_as_a_seed(operator: Steadyd, daemon: Daemon, app: Path, ballast_bytes: int) -> None:
    """It is there for the app's first start, and what the app made of it stays, whatever is shipped later."""
    name = f"seeded-{ballast_bytes}"
    (app / "index.ts").write_text(COUNTING)
    (app / "ballast.bin").write_bytes(bytes(ballast_bytes))
    (app / ".gitignore").write_text("*.sqlite\n")
    with contextlib.closing(sqlite3.connect(app / "data.sqlite")) as database:
        database.execute("CREATE TABLE t AS SELECT 1 AS a")
        database.commit()
    assert operator("deploy", str(app), "--name", name, "--with-data").exit_code == 0
    assert [daemon.ask(name).text, daemon.ask(name).text] == ["2", "3"]
    with contextlib.closing(sqlite3.connect(app / "data.sqlite")) as database:
        database.execute("DELETE FROM t")
        database.commit()
    assert operator("deploy", str(app), "--name", name, "--with-data", "--force").exit_code == 0
    assert daemon.ask(name).text == "4"


def test_the_life_of_an_app(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    deployed = operator("deploy", str(app), "--name", "typed")
    assert (deployed.exit_code, deployed.stdout) == (0, f"http://typed.localhost:{daemon.port}\n"), deployed.stderr
    assert ".env" in deployed.stderr
    assert daemon.ask("typed").text == "one"
    assert "typed" in operator("apps").stdout
    assert "running" in operator("show", "typed").stdout

    (app / "index.ts").write_text(SOURCE % ("two", "two"))
    assert operator("deploy", str(app), "--name", "typed", "--no-trial", "-m", "Say two").exit_code == 0
    assert daemon.ask("typed").text == "two"
    newest = operator("versions", "typed").stdout.splitlines()[1]
    assert newest.split()[:2] == ["2", "live"]
    assert "folder" in newest
    assert newest.endswith("Say two")
    back = operator("rollback", "typed", "1")
    assert (back.exit_code, back.stdout) == (0, f"http://typed.localhost:{daemon.port}\n")
    assert "  switch " in back.stderr
    assert daemon.ask("typed").text == "one"

    assert operator("stop", "typed").stdout == "typed is stopped\n"
    assert operator("start", "typed").stdout == "typed is running\n"
    assert operator("restart", "typed").stdout == "typed is running\n"
    assert operator("stop", "typed", "--hold").stdout == "typed is held\n"
    assert daemon.ask("typed").status_code == 503
    assert operator("delete", "typed").exit_code == 0
    assert "typed" in operator("apps", "--deleted").stdout
    assert operator("undelete", "typed").exit_code == 0


def test_what_changed_is_said_and_what_did_not_change_is_not_deployed(
    operator: Steadyd, daemon: Daemon, app: Path
) -> None:
    words = ("deploy", str(app), "--name", "changing")
    assert operator(*words).exit_code == 0
    again = operator(*words)
    assert (again.exit_code, again.stdout) == (0, f"http://changing.localhost:{daemon.port}\n")
    assert "Nothing has changed since version 1" in again.stderr
    assert json.loads(operator(*words, "--json").stdout)["unchanged"] is True
    (app / "index.ts").write_text(SOURCE % ("two", "two"))
    (app / "new.txt").write_text("new")
    (app / "logo.bin").unlink()
    changed = operator(*words)
    for said in (
        "  M  index.ts\n",
        "  A  new.txt\n",
        "  D  logo.bin\n",
        "1 added, 1 modified, 1 deleted",
        "Version 2 is",
    ):
        assert said in changed.stderr
    assert "Version 3 is live" in operator(*words, "--force").stderr
    assert operator("stop", "changing", "--hold").exit_code == 0
    assert "Version 4 is live" in operator(*words).stderr, "it ends a hold"


def test_steps_are_told_as_they_happen(daemon: Daemon, app: Path) -> None:
    (app / "index.ts").write_text("await Bun.sleep(1500);\n" + SOURCE % ("slow", "slow"))
    command = [sys.executable, "-m", "steadyd", "deploy", str(app), "--name", "slow", "--force"]
    command += ["--server", daemon.url, "--token", daemon.token]
    for _ in ("new", "the next"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        heard: dict[str, float] = {}
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                heard.setdefault(line.split()[0], time.monotonic())
        assert process.wait(timeout=20) == 0
        assert process.stdout is not None
        with process.stdout as written:
            assert written.read().startswith("http://slow.localhost")
        assert heard["Version"] - heard["install"] > 1.0
        assert heard["Version"] - heard["trial"] > 1.0
        order = [word for word in heard if word in ("install", "stage", "trial", "switch", "Version")]
        assert order == ["install", "stage", "trial", "switch", "Version"]


PAGES = """export default { fetch: (request) => {
  const { pathname } = new URL(request.url);
  return new Response(`page ${pathname}`, { status: pathname === "/old" ? STATUS : 200 });
} };
"""


def test_a_deploy_is_rehearsed_with_what_visitors_asked(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    (app / "index.ts").write_text(PAGES.replace("STATUS", "200"))
    assert operator("deploy", str(app), "--name", "rehearsed").exit_code == 0
    for path in ("/", "/old", "/old?secret=1", "/mine"):
        headers = {"cookie": "who=me"} if path == "/mine" else {}
        assert daemon.ask("rehearsed", path, headers=headers).status_code == 200
    until(lambda: "/mine" in operator("requests", "rehearsed").stdout)
    (app / "index.ts").write_text(PAGES.replace("STATUS", "410"))
    words = ("deploy", str(app), "--name", "rehearsed", "--rehearse", "50")
    refused = operator(*words, "--strict")
    assert refused.exit_code == 1
    assert "1 of 2 requests would be answered otherwise" in refused.stderr
    assert daemon.ask("rehearsed", "/old").status_code == 200
    told = operator(*words)
    assert told.exit_code == 0, told.stderr
    assert "GET /old: status 410 instead of 200" in told.stderr


def test_a_large_folder_goes_as_an_archive(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    """More than JSON may hold, in files of more than text."""
    content = os.urandom(9 << 20)
    for number in range(4):
        (app / f"{number}.bin").write_bytes(content)
    deployed = operator("deploy", str(app), "--name", "large", "--no-trial")
    assert deployed.exit_code == 0, deployed.stderr
    answer = daemon.api("GET", "/apps/large/versions/1/files/3.bin")
    assert answer.content == content
    steps = daemon.api("GET", "/apps/large/deploys").json()["deploys"][0]["steps"]
    assert "trial" not in [step["name"] for step in steps]


def test_the_server_says_what_is_too_much(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    (app / "large.bin").write_bytes(os.urandom((10 << 20) + 1))
    for number in range(3):
        (app / f"{number}.bin").write_bytes(os.urandom(9 << 20))
    refused = operator("deploy", str(app), "--name", "too-large")
    assert refused.exit_code == 1
    assert "“large.bin” is larger than 10MiB, this server's --file-size" in refused.stderr
    assert ".steadyignore names what to leave out" in refused.stderr


def test_logs_and_requests(operator: Steadyd, daemon: Daemon, app: Path) -> None:
    assert operator("deploy", str(app), "--name", "talker").exit_code == 0
    assert daemon.ask("talker", "/some/path").text == "one"
    logs = operator("logs", "talker").stdout
    assert "version one speaking \\x1b[31m" in logs
    assert "\x1b" not in logs
    assert "\x1b" in operator("logs", "talker", "--raw").stdout
    line = until(lambda: operator("requests", "talker").stdout)
    assert line.split()[1:3] == ["GET", "200"]
    assert line.rstrip().endswith("/some/path")
    assert json.loads(operator("requests", "talker", "--json").stdout)["path"] == "/some/path"


@pytest.mark.parametrize("what", ["logs", "requests"])
def test_following_ends_quietly_with_ctrl_c(operator: Steadyd, daemon: Daemon, app: Path, what: str) -> None:
    assert operator("deploy", str(app), "--name", "followed").exit_code == 0
    command = [sys.executable, "-m", "steadyd", what, "followed", "-f", "--tail", "0", "--server", daemon.url]
    command += ["--token", daemon.token]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=seen.extend, args=(process.stdout,))
    reader.start()
    try:

        def heard() -> bool:
            daemon.ask("followed", "/news")
            return bool(seen)

        until(heard, 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        reader.join()
        assert "news" in seen[0]
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
        reader.join()


def test_a_failed_deploy_says_where(operator: Steadyd, app: Path) -> None:
    (app / "index.ts").write_text("const fine = 1;\nconst = 2;\n")
    result = operator("deploy", str(app), "--name", "broken")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "index.ts:2" in result.stderr
    assert operator("show", "broken").exit_code == 1


@pytest.mark.sandbox
def test_a_guest_keeps_a_token(steadyd: Steadyd, daemon: Daemon, app: Path, home: Path) -> None:
    server = ("--server", daemon.url)
    assert steadyd("deploy", str(app), "--name", "guested", *server).exit_code == 0
    assert steadyd("deploy", str(app), "--name", "guested", *server).exit_code == 0
    assert "guested" in steadyd("apps", *server).stdout
    assert steadyd("stop", "guested", *server).exit_code == 0
    (home / "config" / "steadyd" / "tokens.json").unlink()
    refused = steadyd("stop", "guested", *server)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("steadyd: ")


def test_a_daemon_that_is_not_there(steadyd: Steadyd) -> None:
    result = steadyd("apps", "--server", "http://127.0.0.1:1")
    assert (result.exit_code, result.stderr) == (1, "steadyd: no server answers at http://127.0.0.1:1\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:1")
