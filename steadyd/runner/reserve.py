"""What steadyd leaves free on the host's disk: running apps go on when it gets full, nothing new begins."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.runner.failure import size

RESERVE_BYTES = 128 << 20
RESERVE_INODES = 5_000
"""Left for the apps that run, their logs and the records of what they do."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def check_reserve(folder: Path) -> None:
    """Before something new is put on the filesystem of `folder`.

    Raises:
        SteadyError: `disk_full` where only the reserve is left.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < RESERVE_BYTES:
        what = f"only {size(free)} are left on the server's disk"
    elif found.f_files and found.f_favail < RESERVE_INODES:  # 0: a filesystem that makes them as needed
        what = f"only {found.f_favail:,} files can still be made on the server's disk"
    else:
        return
    message = f"Nothing new can be deployed: {what}. Apps that are live go on. Delete apps, or free some space there."
    raise SteadyError("disk_full", message)


def is_full(error: BaseException) -> bool:
    """Whether `error` is the kernel's word for a full disk."""
    return isinstance(error, OSError) and error.errno in FULL
