"""The list of an app's captured files, as one content: what lay where, how large, with which mode. No I/O.

    {"uploads/": ["", 0, 493], "uploads/cat.png": ["<sha256>", 1234, 420], …}      one entry on each line

A key that ends with a slash is a folder. Names that are no UTF-8 are kept as Python keeps them (surrogateescape), which
JSON writes as `\\udcXX`. Whoever reads one has it from an object store, so every path is checked before it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from steadyd.errors import SteadyError

MANIFEST_BYTES_MAX = 64 << 20
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
BEGIN, END = b"{\n", b"\n}\n"
MODES = 0o777
"""What is kept of a mode: no set-uid, no sticky."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file as it was captured."""

    sha256: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Path → file, and path (with a slash at its end) → mode of a folder that the app made."""

    files: Mapping[str, Kept] = field(default_factory=dict)
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Of all files together."""
        return sum(kept.size for kept in self.files.values())

    @property
    def contents(self) -> dict[str, int]:
        """SHA-256 → size of all that it needs, each once."""
        return {kept.sha256: kept.size for kept in self.files.values()}

    def written(self) -> bytes:
        """The same bytes for the same files; b"" if there is nothing."""
        lines = [f'{json.dumps(path)}:["",0,{mode}]' for path, mode in sorted(self.folders.items())]
        lines += [f'{json.dumps(path)}:["{k.sha256}",{k.size},{k.mode}]' for path, k in sorted(self.files.items())]
        return BEGIN + ",\n".join(lines).encode() + END if lines else b""


def address(content: bytes) -> str:
    """SHA-256 of a content; "" of none."""
    return hashlib.sha256(content).hexdigest() if content else ""


def read(content: bytes) -> Manifest:
    """What `written` wrote.

    Raises:
        SteadyError: `backup_broken` for anything else, and for a path that leads out of a folder.
    """
    if len(content) > MANIFEST_BYTES_MAX:
        raise _damaged(f"it is larger than {MANIFEST_BYTES_MAX >> 20} MiB")
    files, folders = {}, {}
    try:
        for path, (sha256, size, mode) in _entries(content):
            if not _inside(path) or type(size) is not int or type(mode) is not int or size < 0:
                raise _damaged(f"it names {path!r:.100}")
            if path.endswith("/"):
                folders[path] = mode & MODES
            elif SHA256.match(sha256):
                files[path] = Kept(sha256, size, mode & MODES)
            else:
                raise _damaged(f"{path!r:.100} has no content")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged("it is no list of files") from error
    return Manifest(files, folders)


# Private


def _entries(content: bytes) -> Iterator[tuple[str, Any]]:
    """Line by line, so that the daemon can do something else in the middle of a long list."""
    if content.startswith(BEGIN) and content.endswith(END):
        for line in content[len(BEGIN) : -len(END)].split(b",\n"):
            yield from json.loads(b"{%b}" % line).items()
    elif content:
        yield from json.loads(content).items()


def _inside(path: str) -> bool:
    parts = path.removesuffix("/").split("/")
    return "\0" not in path and not any(part in ("", ".", "..") for part in parts)


def _damaged(why: str) -> SteadyError:
    return SteadyError("backup_broken", f"The list of captured files cannot be used: {why}.")
