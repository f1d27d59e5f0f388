"""The pages' scripts: their own tests, beside them in static/src, run by Bun."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Sequence

import pytest

from scripts.pages import STATIC, bun
from steadyd.errors import SteadyError
from steadyd.tree import check_collisions, check_path

SECONDS_MAX = 120
PARTS = ("a.ts", "", ".", "..", "A.ts", "é", "e\u0301", "node_modules", "x" * 255, "x" * 256, "a\\b", "\0", "\x7f", " ")
DECIDE = """
  import { collision, problemOf } from "./src/editor/paths.ts";
  const [paths, pairs] = JSON.parse(await Bun.stdin.text());
  console.log(JSON.stringify([paths.map((path) => !problemOf(path)), pairs.map(([a, b]) => !collision(a, [b]))]));
"""


@pytest.mark.process
def test_the_scripts_pass_their_own_tests() -> None:
    command = [str(bun()), "test", "src"]
    done = subprocess.run(command, cwd=STATIC, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr
    assert " 0 fail" in done.stderr


@pytest.mark.process
def test_the_editor_refuses_the_paths_that_a_deploy_refuses() -> None:
    """Every path of up to three odd parts, long and deep ones, and every two files beside each other."""
    paths = ["/".join(parts) for count in (1, 2, 3) for parts in itertools.product(PARTS, repeat=count)]
    paths += ["a/" * depth + "b" for depth in (31, 32)] + ["/".join(["x" * 100] * count) for count in (5, 6)]
    allowed = [path for path in paths if _passes(check_path, path)]
    files = ["a", "A", "a/b", "a/B", "a/b/c", "ab", "a.b", "é", "É", "straße", "STRASSE"]
    pairs = [pair for pair in itertools.product(files, repeat=2) if pair[0] != pair[1]]
    asked = json.dumps([paths, pairs])
    command = [str(bun()), "-e", DECIDE]
    done = subprocess.run(
        command, cwd=STATIC, input=asked, capture_output=True, text=True, timeout=SECONDS_MAX, check=True
    )
    path_ok, pair_ok = json.loads(done.stdout)
    assert [path for path, ok in zip(paths, path_ok, strict=True) if ok] == allowed
    assert pair_ok == [_passes(check_collisions, pair) for pair in pairs]


def _passes(check: object, subject: str | Sequence[str]) -> bool:
    assert callable(check)
    try:
        check(subject)
    except SteadyError:
        return False
    return True
