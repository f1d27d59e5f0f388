"""`steadyd run` as a developer meets it: a real process, real Bun, real files that change."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests import test_appfile as sample
from tests.cli.conftest import Steadyd
from tests.served import pids, until

LINE_SECONDS_MAX = 20.0
CLIENTS = 4
RELOADS = 5
URL = re.compile(r"http://[\w.-]+:(\d+)")
HELLO = "export default { fetch: () => new Response('%s') }\n"
COUNTER = """
import { Database } from "bun:sqlite";
import { appendFileSync } from "node:fs";
const db = new Database("data.sqlite");
db.run("pragma journal_mode = wal");
db.run("create table if not exists visits (at integer)");
console.log("started");
export default { async fetch() {
  db.run("insert into visits values (1)");
  appendFileSync("visits.log", "one more\\n");
  await Bun.write(`uploads/${Math.random()}.ts`, "not code");
  const { count } = db.query("select count(*) as count from visits").get() as { count: number };
  return new Response(String(count));
} };
"""


class Run:
    """One `steadyd run` on a free port."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "steadyd", "run", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.line("http://").split()[0]
        self.port = int(URL.match(self.url)[1])  # type: ignore[index]

    def line(self, text: str, seconds: float = LINE_SECONDS_MAX) -> str:
        """Wait for the next line that contains `text`."""
        while True:
            try:
                line = self._new.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no line with {text!r} in:\n" + "".join(self.lines)) from None
            if text in line:
                return line.rstrip("\n")

    def ask(self, path: str = "/", host: str = "localhost") -> httpx.Response:
        headers = {"Host": f"{host}:{self.port}"}
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=40, trust_env=False)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self._reader.join(timeout=10)
        return code

    def children(self) -> list[int]:
        """Every process that was started with this app's URL in its environment."""
        return [pid for pid in pids() if f"STEADY_URL={self.url}\0" in _environ(pid)]

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGTERM)
        self._reader.join(timeout=10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.append(line)
                self._new.put(line)


def _environ(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "My App"
    folder.mkdir()
    (folder / "index.ts").write_text(HELLO % "one")
    return folder


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    """Start runs that end with the test."""
    started: list[Run] = []

    def start(*words: str) -> Run:
        started.append(Run(*words))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_it_serves_under_both_names_and_prints_what_happens(app: Path, run: Callable[..., Run]) -> None:
    (app / "index.ts").write_text('console.log("hello \\x1b[31m log"); ' + HELLO % "one")
    here = run(str(app), "--port", "0")
    assert here.url == f"http://my-app.localhost:{here.port}"
    assert f"http://localhost:{here.port} " in here.line("http://localhost")
    assert here.ask().text == here.ask("/x?secret", host="my-app.localhost").text == "one"
    assert here.ask(host="other.localhost").status_code == 404
    assert "app     hello \\x1b[31m log" in here.line("hello")
    assert here.line("/x").split()[1:3] == ["GET", "200"]
    assert "secret" not in "".join(here.lines)


def test_an_archive_is_unpacked_beside_itself_and_served(app: Path, run: Callable[..., Run]) -> None:
    code = (HELLO % "from a file").encode()
    manifest = sample.said(contents={sample.address(code): len(code)})
    manifest["versions"][0]["files"] = {"index.ts": sample.address(code)}
    path = app.parent / "shop.steady"
    path.write_bytes(sample.packed(manifest, [(f"contents/{sample.address(code)}", code), sample.GOOD[1]]).getvalue())
    here = run(str(path), "--port", "0")
    assert here.url == f"http://hello.localhost:{here.port}"
    assert here.ask().text == "from a file"
    assert (app.parent / "shop/data.sqlite").read_bytes() == sample.ROWS


def test_ctrl_c_leaves_nothing(app: Path, run: Callable[..., Run]) -> None:
    here = run(str(app), "--port", "0")
    assert here.ask().text == "one"
    assert len(here.children()) == 1
    assert here.stop() == 0
    assert here.children() == []
    assert sorted(path.name for path in app.iterdir()) == ["index.ts"]
    with pytest.raises(httpx.ConnectError):
        here.ask()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_other_ways_to_end_it(app: Path, run: Callable[..., Run], number: signal.Signals) -> None:
    here = run(str(app), "--port", "0")
    here.line("Started")
    assert here.stop(number) == 0
    assert here.children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="a parent-death signal is Linux's")
def test_kill_9_leaves_no_process(app: Path, run: Callable[..., Run]) -> None:
    here = run(str(app), "--port", "0")
    here.line("Started")
    here.kill()
    until(lambda: here.children() == [])


def test_a_reload_drops_no_request(app: Path, run: Callable[..., Run]) -> None:
    here = run(str(app), "--port", "0")
    assert here.ask().text == "one"
    stop = threading.Event()
    answers: list[list[str]] = [[] for _ in range(CLIENTS)]

    def hammer(mine: list[str]) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{here.port}", timeout=40, trust_env=False) as client:
            while not stop.is_set():
                answer = client.get("/", headers={"Host": "localhost"})
                mine.append(answer.text if answer.status_code == 200 else f"{answer.status_code} {answer.text}")

    def everybody_sees(text: str) -> bool:
        return all(mine[-1:] == [text] for mine in answers)

    clients = [threading.Thread(target=hammer, args=(mine,)) for mine in answers]
    for client in clients:
        client.start()
    try:
        until(functools.partial(everybody_sees, "one"), 20)
        for number in range(RELOADS):
            (app / "index.ts").write_text(HELLO % f"v{number}")
            until(functools.partial(everybody_sees, f"v{number}"), 20)
    finally:
        stop.set()
        for client in clients:
            client.join(timeout=60)
    seen = {answer for mine in answers for answer in mine}
    assert seen == {"one", *(f"v{number}" for number in range(RELOADS))}
    assert len(here.children()) == 1


def test_what_the_app_writes_does_not_reload(app: Path, run: Callable[..., Run]) -> None:
    (app / "index.ts").write_text(COUNTER)
    here = run(str(app), "--port", "0")
    assert [here.ask().text for _ in range(20)] == [str(n) for n in range(1, 21)]
    # The reload that is asked for comes after all those that must not come.
    (app / "index.ts").write_text(COUNTER + "// changed")
    here.line("index.ts changed: reloading")
    assert here.ask().text == "21"
    reloads = [line for line in here.lines if "reloading" in line]
    assert len(reloads) == 1
    assert (app / "data.sqlite").exists()


def test_a_broken_file_is_shown_in_place_and_what_ran_goes_on(app: Path, run: Callable[..., Run]) -> None:
    here = run(str(app), "--port", "0")
    assert here.ask().text == "one"
    (app / "index.ts").write_text("const a = 1;\n\tconst = ;\n")
    here.line("index.ts:2:8: Expected identifier")
    assert here.line("const = ;").index("=") == here.line("^").index("^")
    here.line("goes on")
    assert here.ask().text == "one"
    (app / "index.ts").write_text(
        "import data from './late.json';\nexport default { fetch: () => Response.json(data) }"
    )
    here.line("./late.json")
    assert here.ask().text == "one"
    (app / "late.json").write_text("[1]")
    here.line("Started")
    assert here.ask().text == "[1]"


def test_what_fails_only_when_it_runs_waits_for_a_change(app: Path, run: Callable[..., Run]) -> None:
    here = run(str(app), "--port", "0")
    assert here.ask().text == "one"
    (app / "index.ts").write_text("const a = 1;\n  a.b.c();\n")
    assert "index.ts:2: " in here.line("It does not start")
    assert "a.b.c()" in here.line("a.b")
    here.line("^")
    answer = here.ask()
    assert (answer.status_code, answer.headers["Steady-Error"]) == (503, "app_failed")
    assert "index.ts:2" in answer.json()["error"]["message"]
    page = httpx.get(f"http://127.0.0.1:{here.port}/", headers={"Accept": "text/html"}, trust_env=False)
    assert "index.ts:2" in page.text
    (app / "index.ts").write_text(HELLO % "mended")
    here.line("Started")
    assert here.ask().text == "mended"


def test_mistakes_of_types_are_shown_and_stop_nothing(app: Path, run: Callable[..., Run]) -> None:
    (app / "tsconfig.json").write_text('{"compilerOptions": {"lib": ["esnext", "dom"]}}')
    (app / "index.ts").write_text(HELLO % "one" + "const n: number = 'text';\n")
    here = run(str(app), "--port", "0")
    here.line("index.ts:2:7: TS2322")
    here.line("const n: number")
    assert here.ask().text == "one"


@pytest.mark.slow
def test_crons_are_fired_on_request(app: Path, run: Callable[..., Run]) -> None:
    (app / "index.ts").write_text(
        "export function tidy() { console.log('tidied'); }\n"
        "const fetch = (r) => (console.log(r.method, r.headers.get('steady-cron')), new Response());\n"
        "export default { fetch };\n"
    )
    (app / "steady.json").write_text('{"crons": [{"schedule": "* * * * *", "path": "/tick"}, "wrong"]}')
    here = run(str(app), "--port", "0", "--crons")
    here.line("No crons")
    crons = '{"crons": [{"schedule": "* * * * *", "path": "/tick"}, {"schedule": "* * * * *", "export": "tidy"}]}'
    (app / "steady.json").write_text(crons)
    here.line("Crons: tick (* * * * *), tidy (* * * * *)")
    here.line("done in", seconds=75)
    here.line("done in")
    lines = "".join(here.lines)
    assert "POST tick" in lines
    assert "tidied" in lines


def test_a_folder_that_is_broken_from_the_start_waits_too(app: Path, run: Callable[..., Run]) -> None:
    (app / "index.ts").write_text('import "./later.ts";\n' + HELLO % "whole")
    here = run(str(app), "--port", "0")
    here.line("Waiting for a change")
    (app / "later.ts").write_text("")
    here.line("Started")
    assert here.ask().text == "whole"


def test_two_runs_at_once_pick_different_ports(app: Path, run: Callable[..., Run]) -> None:
    first, second = run(str(app)), run(str(app))
    assert first.port != second.port
    assert first.ask().text == second.ask().text == "one"


def test_a_single_file_and_what_it_imports(app: Path, run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "word.ts").write_text("export const word = 'old'")
    (app / "hello.ts").write_text(
        "import { word } from '../shared/word.ts'; export default { fetch: () => new Response(word) }"
    )
    here = run(str(app / "hello.ts"), "--port", "0")
    assert here.url.startswith("http://hello.localhost:")
    assert here.ask().text == "old"
    (app / "index.ts").write_text("no part of it")

    def changed() -> bool:
        # Until the folder of the import is watched, a change there may be missed: say it again.
        (tmp_path / "shared" / "word.ts").write_text("export const word = 'new'")
        return here.ask().text == "new"

    until(changed, 20)
    assert "index.ts changed" not in "".join(here.lines)


def test_a_static_site(tmp_path: Path, run: Callable[..., Run]) -> None:
    (tmp_path / "index.html").write_text("<h1>static</h1>")
    (tmp_path / ".env").write_text("SECRET=1")
    here = run(str(tmp_path), "--port", "0", "--name", "site")
    assert here.ask(host="site.localhost").text == "<h1>static</h1>"
    assert here.ask("/.env").status_code == 404


def test_nothing_of_ours_reaches_the_app(app: Path, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYD_TOKEN", "secret")
    monkeypatch.setenv("MY_OWN", "kept")
    (app / "index.ts").write_text("export default { fetch: () => Response.json(process.env) }")
    here = run(str(app), "--port", "0")
    seen = here.ask().json()
    assert [name for name in seen if name.startswith("STEADYD_")] == []
    expected = {"MY_OWN": "kept", "STEADY_ENV": "local", "STEADY_APP": "my-app", "STEADY_URL": here.url}
    assert {name: seen.get(name) for name in expected} == expected
    assert (seen["PORT"], seen["STEADY_VERSION"]) == (str(here.port), "1")


def test_json_lines(app: Path) -> None:
    command = [sys.executable, "-m", "steadyd", "run", str(app), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        httpx.get(ready["localhost_url"], trust_env=False)
        events = [ready]
        while events[-1]["event"] != "request":
            events.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
    assert {event["event"] for event in events} == {"ready", "log", "request"}


def test_a_reader_that_leaves_ends_it(app: Path, run: Callable[..., Run]) -> None:
    """As in `steadyd run | head -1`."""
    command = [sys.executable, "-m", "steadyd", "run", str(app), "--port", "0"]
    reading, writing = os.pipe()
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as output:
        output.readline()
    assert process.wait(timeout=LINE_SECONDS_MAX) == 0


def test_what_cannot_be_run(steadyd: Steadyd, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert steadyd("run", str(tmp_path / "notes.txt")).stderr.startswith("steadyd: ")
    nothing = steadyd("run", str(tmp_path))
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith(f"steadyd: {tmp_path}: Nothing to run: add index.ts")
    assert steadyd("run", str(tmp_path), "--name", "NO").exit_code == 1
    assert steadyd("run", str(tmp_path), "--port", "99999").exit_code == 2
