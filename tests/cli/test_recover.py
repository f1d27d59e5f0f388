"""`steadyd recover`: a lost host's records, once, told to people and to programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Steadyd
from tests.served import ROOT, Daemon, data_folder, remove

HELLO = 'export default { fetch: () => new Response("hello") };\n'


@pytest.fixture(scope="module")
def replica() -> Iterator[Path]:
    """What a host left that is no more."""
    data, kept = data_folder(), data_folder()
    daemon = Daemon(data, "--replica", f"file://{kept}/replica")
    try:
        daemon.create("hello", {"index.ts": HELLO})
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(data)
    yield kept / "replica"
    remove(kept)


def recover(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "steadyd", "recover", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)


def test_records_come_back_and_what_comes_next_is_said(replica: Path) -> None:
    """The second time there is nothing to do, and that is a failure."""
    data = data_folder()
    try:
        words = ("--replica", f"file://{replica}", "--data", str(data))
        done = recover(*words)
        assert done.returncode == 0, done.stderr
        first, following, key = done.stdout.splitlines()
        assert first.startswith("recovered epoch 1 as epoch 2: 1 apps")
        assert following == f"next: steadyd serve --replica file://{replica} --data {data}"
        assert str(data / "secrets.key") in key
        again = recover(*words)
        assert again.returncode == 1
        assert len(again.stderr.splitlines()) == 1
        assert "empty --data" in again.stderr
        daemon = Daemon(data, "--replica", f"file://{replica}")
        try:
            assert [app["name"] for app in daemon.api("GET", "/apps").json()["apps"]] == ["hello"]
        finally:
            daemon.kill()
    finally:
        remove(data)


def test_programs_read_it_as_json(replica: Path) -> None:
    data = data_folder()
    try:
        done = recover("--replica", f"file://{replica}", "--data", str(data), "--json")
        recovered = json.loads(done.stdout)["recovered"]
        assert (recovered["apps"], recovered["epoch"] > recovered["source"]) == (1, True)
    finally:
        remove(data)


def test_a_target_that_cannot_be_is_wrong_usage(steadyd: Steadyd) -> None:
    assert steadyd("recover").exit_code == 2
    assert steadyd("recover", "--replica", "ftp://x").exit_code == 2
    assert (
        "AWS_ACCESS_KEY_ID" in steadyd("recover", "--replica", "s3://bucket", env=dict.fromkeys(os.environ, "")).output
    )
