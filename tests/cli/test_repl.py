"""`steadyd repl` against a real daemon: typed at a terminal, and in a pipe."""

from __future__ import annotations

import contextlib
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Steadyd
from tests.cli.pty import Typed
from tests.served import Daemon, data_folder, remove, until

SOURCE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS guests (name TEXT)");
db.run("INSERT INTO guests VALUES ('Ada')");
export default { fetch: () => new Response(String(db.query("SELECT count(*) AS c FROM guests").get().c)) };
"""


@pytest.fixture
def operator(steadyd: Steadyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Steadyd:
    monkeypatch.setenv("STEADYD_DATA", str(daemon.data))
    if daemon.api("GET", "/apps/typed").status_code == 404:
        daemon.create("typed", {"index.ts": SOURCE, "lib/double.ts": "export const double = (n: number) => 2 * n;"})
    return steadyd


@pytest.fixture
def shell(operator: Steadyd) -> Iterator[Typed]:
    typed = Typed("repl", "typed")
    try:
        typed.see("typed> ")
        yield typed
    finally:
        typed.close()


def piped(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "steadyd", "repl", "typed", *words]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=False, timeout=60)


def test_a_session(shell: Typed, daemon: Daemon, home: Path) -> None:
    shell.type("const add = (a: number, b: number): number => {\n")
    shell.see(".....> ")
    shell.type("return a + b;\n")
    shell.see(".....> ")
    shell.type("}; add(40, 2)\n")
    shell.see("\n42\n")
    shell.see("typed> ")
    shell.type("import { double } from './lib/double.ts'; await double(4)\n")
    shell.see("\n8\n")
    shell.see("typed> ")
    shell.type(
        "import { Database } from 'bun:sqlite'; new Database('data.sqlite').query('SELECT name FROM guests').all()\n"
    )
    shell.see('name: "Ada"')
    shell.see("typed> ")
    shell.type("console.log('\\x1b[2J'); nothere\n")
    shell.see("\\x1b[2J\nReferenceError: nothere is not defined\n")
    shell.see("typed> ")
    shell.type("\x04")
    assert shell.end() == 0
    kept = home / "config" / "steadyd" / "repl.history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "double(4)" in kept.read_text()
    until(lambda: not _repls(daemon))


def test_ctrl_c_stops_what_is_evaluated(shell: Typed) -> None:
    shell.type("console.log('be' + 'gun'); while (true);\n")
    shell.see("begun")
    shell.type("\x03")
    shell.see("A new one has begun")
    shell.see("typed> ")
    shell.type("6 * 7\n")
    shell.see("\n42\n")


def test_a_swap_ends_it_and_it_begins_anew(shell: Typed, operator: Steadyd) -> None:
    assert operator("restart", "typed").exit_code == 0
    shell.type("1\n")
    shell.see("swapped")
    shell.see("A new one has begun")
    shell.see("typed> ")
    shell.type("6 * 7\n")
    shell.see("\n42\n")


def test_it_ends_with_the_command(shell: Typed, daemon: Daemon) -> None:
    shell.type("setInterval(() => {}, 1000); 1\n")
    shell.see("typed> ")
    shell.process.kill()
    until(lambda: not _repls(daemon))


def test_a_daemon_that_stops_does_not_wait_for_it(home: Path) -> None:
    data = data_folder()
    own = Daemon(data)
    try:
        own.create("typed", {"index.ts": SOURCE})
        typed = Typed("repl", "typed", env={"STEADYD_DATA": str(data)})
        try:
            typed.see("typed> ")
            typed.type("console.log('be' + 'gun'); while (true);\n")
            typed.see("begun")
            assert own.stop() == 0
            typed.see("The server ended it.")
            typed.see(own.url.rpartition(":")[2])  # no server answers there, or one resets the connection as it goes
            assert typed.end() == 1
        finally:
            typed.close()
    finally:
        own.kill()
        remove(data)


def test_in_a_pipe(operator: Steadyd) -> None:
    done = piped("const a: number = 1;\nconsole.log('said');\na + 1\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n2\n", "")
    done = piped("throw new TypeError('mine')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "steadyd: TypeError: mine\n")
    assert "ends in the middle" in piped("function f() {").stderr
    assert "exit code 3" in piped("process.exit(3)").stderr
    events = [json.loads(line) for line in piped("'x'", "--json").stdout.splitlines()]
    assert events == [{"event": "value", "text": '"x"'}]


def test_who_may_not(operator: Steadyd) -> None:
    result = operator("repl", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("steadyd: ")


def _repls(daemon: Daemon) -> list[int]:
    found = []
    for pid in daemon.instances():
        with contextlib.suppress(OSError):
            if b"repl.ts" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
