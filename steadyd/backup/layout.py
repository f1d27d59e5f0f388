"""Where each thing lies below a target: one function for each kind of key. No I/O.

epochs/00000001                                     who owns what follows (`backup/epochs.py`)
steady/00000001/ltx/…                               the line of steady.db
apps/<app>/00000001/<line>/ltx/<level>/<a>-<b>.ltx  what Litestream writes, and compacts
apps/<app>/00000001/<line>/pins/<level>/<a>-<b>.ltx what restore points keep of it
contents/<2 hex>/<sha256>                           files by content: of versions, captured ones, manifests
"""

from __future__ import annotations

import re
from dataclasses import dataclass

EPOCHS = "epochs"
PROBES = "probes"
"""What is made only to see what a store does, and is gone again."""
CONTENTS = "contents"
APPS = "apps"
EPOCH = re.compile(rf"{EPOCHS}/(\d{{8}})")
SHA256 = re.compile(r"[0-9a-f]{64}")
LTX_FILE = re.compile(r"(?:^|/)(ltx|pins)/([0-9a-f]{1,4})/([0-9a-f]{16})-([0-9a-f]{16})\.ltx\Z")


@dataclass(frozen=True, slots=True)
class LtxName:
    """What the key of one LTX file says: which transactions it holds, both ends among them."""

    level: int
    first: int
    last: int
    pinned: bool = False


def epoch(number: int) -> str:
    """The object that says whose epoch this is."""
    return f"{EPOCHS}/{number:08d}"


def epoch_number(key: str) -> int | None:
    """The other way round; None for what is no epoch's key."""
    match = EPOCH.fullmatch(key)
    return int(match[1]) if match else None


def steady(number: int) -> str:
    """The line of steady.db in that epoch."""
    return f"steady/{number:08d}"


def app(app_id: str) -> str:
    """All databases of one app, of all epochs."""
    return f"{APPS}/{app_id}"


def line(app_id: str, number: int, line_id: int) -> str:
    """One line of one database, in epoch `number`."""
    return f"{app(app_id)}/{number:08d}/{line_id}"


def ltx(line_key: str) -> str:
    """Every LTX file that Litestream wrote for a line: level 0 is `…/0/` in a folder, and `…/0000/` in a bucket."""
    return f"{line_key}/ltx"


def pins(line_key: str) -> str:
    """Every LTX file that restore points keep of a line."""
    return f"{line_key}/pins"


def pin(line_key: str, name: LtxName) -> str:
    """Where a restore point keeps one LTX file."""
    return f"{pins(line_key)}/{name.level}/{name.first:016x}-{name.last:016x}.ltx"


def ltx_name(key: str) -> LtxName | None:
    """What a key below `ltx` or `pins` says; None for what Litestream did not name."""
    match = LTX_FILE.search(key)
    if match is None:
        return None
    return LtxName(int(match[2], 16), int(match[3], 16), int(match[4], 16), match[1] == "pins")


def content(sha256: str) -> str:
    """A file, by the hash of its content (64 small hex digits)."""
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return f"{CONTENTS}/{sha256[:2]}/{sha256}"


def probe(nonce: str) -> str:
    """A key of nobody else."""
    return f"{PROBES}/{nonce}"
