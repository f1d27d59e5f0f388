"""The pages' scripts: their own tests, beside them in static/src, run by Bun."""

from __future__ import annotations

import subprocess

import pytest

from scripts.pages import STATIC, bun

SECONDS_MAX = 120


@pytest.mark.process
def test_the_scripts_pass_their_own_tests() -> None:
    command = [str(bun()), "test", "src"]
    done = subprocess.run(command, cwd=STATIC, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr
    assert " 0 fail" in done.stderr
