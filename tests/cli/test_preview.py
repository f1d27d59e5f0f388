"""A draft from a folder, typed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.cli.conftest import Steadyd
from tests.served import Daemon, until

SOURCE = "console.log('speaking');\nexport default { fetch: () => new Response('%s') };\n"


def test_it_runs_until_ctrl_c_and_nothing_goes_live(daemon: Daemon, tmp_path: Path) -> None:
    daemon.create("previewed", {"index.ts": SOURCE % "live"})
    (tmp_path / "index.ts").write_text(SOURCE % "draft")
    command = [sys.executable, "-m", "steadyd", "preview", str(tmp_path), "--name", "previewed", "--server", daemon.url]
    process = subprocess.Popen(
        [*command, "--token", daemon.token], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        url = process.stdout.readline().strip()
        host = url.removeprefix("http://").partition(":")[0]
        shown = httpx.get(daemon.url, headers={"host": host})
        assert (shown.text, shown.headers["x-robots-tag"]) == ("draft", "noindex, nofollow")
        live = daemon.ask("previewed", "/live")
        assert (live.text, "x-robots-tag" in live.headers) == ("live", False)
        asked = until(lambda: requests(daemon))
        assert [one["path"] for one in asked] == ["/live"], "the draft's stand in no log"
        assert any("speaking" in line for line in said)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert httpx.get(daemon.url, headers={"host": host}).status_code == 404
    finally:
        process.kill()
        process.communicate()


def requests(daemon: Daemon) -> list[dict[str, str]]:
    answer = daemon.api("GET", "/apps/previewed/requests", headers={"accept": "application/json"})
    return list(answer.json()["requests"])


def test_a_draft_that_does_not_start_says_where(steadyd: Steadyd, daemon: Daemon, tmp_path: Path) -> None:
    daemon.create("unpreviewed", {"index.ts": SOURCE % "live"})
    (tmp_path / "index.ts").write_text("const fine = 1;\nconst = 2;\n")
    result = steadyd("preview", str(tmp_path), "--name", "unpreviewed", "--server", daemon.url, "--token", daemon.token)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "index.ts:2" in result.stderr
