"""The parent process's own pieces; how it serves is tested through the launcher."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from steadyd.runner import parent
from tests.served import until


def test_it_imports_nothing_of_ours() -> None:
    """It must start fast and stay small: `python -I -S` finds nothing but the standard library."""
    tree = ast.parse(Path(parent.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"__future__"}


def test_descendants_are_found_to_the_last() -> None:
    command = ["/bin/sh", "-c", "sh -c 'sleep 30 & wait' & wait"]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            until(lambda: len(parent.descendants(process.pid)) == 2)
            assert process.pid in parent.descendants(os.getpid())
            assert parent.descendants(2**22 + 1) == []
        finally:
            for pid in [*parent.descendants(process.pid), process.pid]:
                os.kill(pid, 9)


ENDS = """
import os, subprocess, sys
from steadyd.runner import parent
child = subprocess.Popen(["/bin/sleep", "60"])
parent.end_all(float(sys.argv[1]))
alive = os.path.exists(f"/proc/{child.pid}") and child.poll() is None
child.kill()
print(alive)
"""


def test_killing_ends_at_the_last_child_or_at_its_limit() -> None:
    for seconds, alive in (("10", "False"), ("0", "True")):
        command = [sys.executable, "-c", ENDS, seconds]
        assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() == alive
