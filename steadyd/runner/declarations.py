"""The types of an app's installed packages, as an editor's compiler reads them: declaration files, and of each
package.json what says where they are.

What is installed was written by strangers: no link is followed, and files, bytes and places looked at are bounded. The
packages that the app itself asks for come first; one that does not fit whole is left out and named.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.runner.folder import MODULES

FILES_MAX = 5_000
BYTES_MAX = 12 << 20
ENTRIES_MAX = 200_000
"""Files and folders of all packages that are looked at."""
DEPTH_MAX = 32
MANIFEST_BYTES_MAX = 1 << 20

DECLARATION = re.compile(r"\.d(?:\.\w+)?\.[mc]?ts\Z")
MANIFEST = "package.json"
KEPT = ("name", "version", "type", "main", "module", "types", "typings", "typesVersions", "exports", "imports")
OURS = frozenset({"@types/bun", "@types/node", "bun-types", "undici-types"})
"""What every editor has, in the version that fits this Bun: a second one would contradict it."""


@dataclass(slots=True)
class Declarations:
    """Path below the app (`node_modules/hono/dist/types/index.d.ts`) → text, and the packages that did not fit."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def declarations(modules: Path, first: Iterable[str] = ()) -> Declarations:
    """Everything in the folder `modules`, which may be absent; packages named in `first` before all others. Blocks."""
    found = Declarations()
    room = _Room()
    for name in _in_order(_packages(modules), first):
        try:
            found.files |= {f"{MODULES}/{name}/{path}": text for path, text in room.take(modules / name).items()}
        except _Full:
            found.left_out.append(name)
    return found


# Private


def _packages(modules: Path) -> list[str]:
    """`hono` and `@scope/name`, as folders say; no links, and none of ours."""
    names = []
    for name in _folders(modules):
        names += [f"{name}/{inner}" for inner in _folders(modules / name)] if name.startswith("@") else [name]
    return [name for name in names if name not in OURS and not name.startswith(".")]


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _in_order(names: list[str], first: Iterable[str]) -> list[str]:
    """Those of `first` and their types from `@types` before the others."""
    wanted = {name: at for at, name in enumerate(first)}
    types = {f"@types/{name.removeprefix('@').replace('/', '__')}": at for name, at in wanted.items()}
    order = {**types, **wanted}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name in types, name))


class _Full(Exception):
    """There is no room for a package."""


class _Room:
    """What may still be taken, and looked at."""

    def __init__(self) -> None:
        self._files, self._bytes, self._entries = FILES_MAX, BYTES_MAX, ENTRIES_MAX

    def take(self, folder: Path) -> dict[str, str]:
        """A package's path → text, its own packages too.

        Raises:
            _Full: there is more of it than room, and nothing of it is taken.
        """
        taken: dict[str, str] = {}
        size = 0
        for where, folders, files in os.walk(folder):
            self._entries -= len(folders) + len(files)
            inner = os.path.relpath(where, folder)
            if self._entries < 0 or inner.count("/") >= DEPTH_MAX:
                raise _Full
            folders.sort()
            for name in sorted(files):
                if (text := _text(where, name)) is not None:
                    taken[name if inner == "." else f"{inner}/{name}"] = text
                    size += len(text)
            if len(taken) > self._files or size > self._bytes:
                raise _Full
        self._files, self._bytes = self._files - len(taken), self._bytes - size
        return taken


def _text(folder: str, name: str) -> str | None:
    path = os.path.join(folder, name)
    if name == MANIFEST:
        return _manifest(_read(path, MANIFEST_BYTES_MAX))
    content = _read(path, BYTES_MAX) if DECLARATION.search(name) else None
    return None if content is None else content.decode("utf-8", "replace")


def _read(path: str, most: int) -> bytes | None:
    """A regular file's content; None of a link, of what is larger, and of what cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_size <= most:
                return file.read(most)
    return None


def _manifest(content: bytes | None) -> str | None:
    """What resolution needs of a package.json; None of what is none."""
    try:
        said = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return json.dumps({key: said[key] for key in KEPT if key in said}) if isinstance(said, Mapping) else None
