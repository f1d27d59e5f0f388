"""Whose page cache a file is in."""

from __future__ import annotations

import os
from pathlib import Path

from steadyd.linux import pages
from tests.linux.ground import Ground

MIB = 1 << 20
READ = "import sys\nwith open(sys.argv[1], 'rb') as file: file.read()"


def test_a_file_that_we_hold_costs_an_app_nothing(ground: Ground, tmp_path: Path) -> None:
    used = {}
    for held in (False, True):
        path = tmp_path / f"{held}"
        path.write_bytes(bytes(20 * MIB))
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if held:
            pages.hold(path)
        group = ground.make()
        assert ground.start(group, READ, path).wait(timeout=30) == 0
        used[held] = group.sample().memory_bytes
    assert used[False] >= 20 * MIB
    assert used[True] < 10 * MIB
