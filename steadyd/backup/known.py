"""What is known of an app's files from the last survey, kept beside its folder: so that the first look after a start
reads no file that did not change meanwhile. Losing it costs time and nothing else. All of this blocks.

One JSON list on each line: path, inode, size, mtime and ctime in ns, SHA-256, and when it was read.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping

from steadyd.backup.reading import Seen
from steadyd.backup.survey import Known
from steadyd.runner.folder import Place

KNOWN = "captured.jsonl"


def load(place: Place) -> dict[str, Known]:
    """As `save` left it; {} where there is nothing, or nonsense."""
    found = {}
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError), open(place.root / KNOWN, "rb") as file:
        for line in file:
            path, inode, size, mtime_ns, ctime_ns, sha256, read_at = json.loads(line)
            found[path] = Known(Seen(inode, size, mtime_ns, ctime_ns), sha256, read_at)
    return found


def save(place: Place, known: Mapping[str, Known]) -> None:
    """Nothing, where the app's folder is gone or the disk is full."""
    part = place.root / f"{KNOWN}.part"
    with contextlib.suppress(OSError):
        with open(part, "w", encoding="ascii") as file:
            for path, each in known.items():
                seen = each.seen
                said = [path, seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns, each.sha256, each.read_at]
                file.write(json.dumps(said) + "\n")
        os.replace(part, place.root / KNOWN)
