"""What is left free on the host's disk, on real filesystems of a few MiB."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import reserve
from steadyd.runner.reserve import check_reserve, is_full


@contextmanager
def small(folder: Path, options: str) -> Iterator[Path]:
    """A filesystem of its own at `folder`."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small filesystem")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def test_a_disk_with_room_is_fine(tmp_path: Path) -> None:
    with small(tmp_path / "disk", "size=200m,nr_inodes=20000") as disk:
        check_reserve(disk)


@pytest.mark.parametrize(("options", "said"), [("size=200m", "80 MiB are left"), ("size=200m,nr_inodes=4000", "files")])
def test_the_reserve_is_not_touched(tmp_path: Path, options: str, said: str) -> None:
    with small(tmp_path / "disk", options) as disk:
        if "nr_inodes" not in options:
            (disk / "filled").write_bytes(bytes(120 << 20))
        with pytest.raises(SteadyError, match=said) as caught:
            check_reserve(disk)
    assert caught.value.code == "disk_full"
    assert caught.value.status == 507


def test_the_kernels_words_for_full(tmp_path: Path) -> None:
    with small(tmp_path / "disk", "size=1m") as disk, pytest.raises(OSError, match="No space") as caught:
        (disk / "large").write_bytes(bytes(2 << 20))
    assert is_full(caught.value)
    assert is_full(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))
    assert not is_full(PermissionError(errno.EACCES, "no"))
    assert not is_full(ValueError())
    assert reserve.RESERVE_BYTES < 200 << 20
