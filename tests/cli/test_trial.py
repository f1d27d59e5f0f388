"""`steadyd run --trial`, typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELLO = "console.log(process.env.GREETING); export default { fetch: () => new Response('%s') }\n"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "My App"
    folder.mkdir()
    (folder / "index.ts").write_text(HELLO % "one")
    (folder / ".env").write_text("GREETING=hello\nPORT=1\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("[remote]")
    return folder


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "steadyd", "run", *words, "--trial"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_it_says_that_it_would_go_live(app: Path) -> None:
    done = run(str(app))
    assert (done.returncode, done.stdout) == (0, "my-app would go live.\n"), done.stderr
    assert "Trying my-app: 1 file" in done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines() if line.endswith(" ms")] == [
        "data",
        "install",
        "check",
        "trial",
    ]
    told = json.loads(run(str(app), "--json", "--name", "other").stdout)
    assert (told["name"], [step["name"] for step in told["steps"]][-1]) == ("other", "trial")


def test_it_says_why_not(app: Path) -> None:
    (app / "index.ts").write_text(
        "import { existsSync } from 'node:fs';\nthrow new Error(`${existsSync('.git')} here`);\n"
    )
    done = run(str(app))
    assert (done.returncode, done.stdout) == (1, "")
    assert "false here" in done.stderr.splitlines()[-1]
    assert "at index.ts:2" in done.stderr


def test_a_single_file(app: Path) -> None:
    (app / "hello.ts").write_text(HELLO % "two")
    assert run(str(app / "hello.ts")).stdout == "hello would go live.\n"
