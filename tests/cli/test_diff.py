"""`steadyd diff` against a real daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from steadyd.cli.diff import coloured
from tests.cli.conftest import Steadyd
from tests.served import Daemon

SOURCE = 'export default { fetch: () => new Response("%s") };\n'


def test_a_diff_can_be_read_parsed_and_applied(
    steadyd: Steadyd, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYD_DATA", str(daemon.data))
    daemon.create("compared", {"index.ts": SOURCE % "one", "old.txt": "bye\r\n"})
    files = {"index.ts": SOURCE % "two", "new.txt": "hi\n"}
    assert daemon.api("PUT", "/apps/compared", json={"files": files}).status_code == 201
    plain = steadyd("diff", "compared", "1", "2")
    assert plain.exit_code == 0, plain.stderr
    assert '+export default { fetch: () => new Response("two") };\n' in plain.stdout
    diff = json.loads(steadyd("diff", "compared", "1", "2", "--json").stdout)["diff"]
    assert [(file["path"], file["status"]) for file in diff["files"]] == [
        ("index.ts", "modified"), ("new.txt", "added"), ("old.txt", "deleted"),
    ]  # fmt: skip
    nothing = steadyd("diff", "compared", "1", "1")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "same files" in nothing.stderr
    refused = steadyd("diff", "compared", "1", "9")
    assert (refused.exit_code, refused.stderr) == (1, "steadyd: There is no version 9.\n")
    assert steadyd("diff", "compared", "1", "x").exit_code == 2
    if shutil.which("git"):
        (tmp_path / "index.ts").write_text(SOURCE % "one")
        (tmp_path / "old.txt").write_bytes(b"bye\r\n")
        subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=plain.stdout_bytes, check=True)
        assert (tmp_path / "index.ts").read_text() == SOURCE % "two"
        assert not (tmp_path / "old.txt").exists()


def test_a_terminal_gets_colours_and_nothing_that_moves_its_cursor() -> None:
    assert coloured("+new") == click.style("+new", fg="green")
    assert coloured("-old") == click.style("-old", fg="red")
    assert coloured("@@ -1 +1 @@") == click.style("@@ -1 +1 @@", fg="cyan")
    assert coloured("--- a/x") == click.style("--- a/x", bold=True)
    assert "\x1b[2J" not in coloured(" \x1b[2J")
