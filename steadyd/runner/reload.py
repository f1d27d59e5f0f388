"""Whether a changed file means a reload of an app that runs from its developer's folder: a pure decision.

The hard part is what must not reload: an app that writes beside its code (a database, an upload, a log) would restart
itself for ever. Three sources tell the two apart: the harness reports what the app writes and which modules it
loaded, and a file that appeared while the app ran and is no source file is taken for the app's own.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from steadyd.tree import ENTRY_SUFFIXES

SQLITE_SIDES = ("-wal", "-shm", "-journal")
SETTINGS = ("package.json", "tsconfig.json", "bunfig.toml", "jsconfig.json")
RELOADS_IN_A_ROW_MAX = 5
"""By one file that is not a loaded module. A person who saves every few seconds is not meant."""
SOON_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about the running app. Paths are absolute, of real folders."""

    folder: str
    modules: Set[str]
    """Files that it loaded as code, wherever they lie."""
    wrote: Set[str]
    """Files that it wrote itself."""
    existed: Set[str]
    """Files that lay in the folder when it was started."""
    is_ignored: Callable[[str], bool]
    """Whether an ignore file names a path (relative to the folder)."""
    is_database: Callable[[str], bool]
    """Whether the file is a SQLite database by its content."""
    is_running: bool = True
    """False while it does not start: then a new file may be what it lacks, and cannot be the app's own."""
    modules_only: bool = False
    """A single source file is served: what else lies in its folder is no part of the app."""


def reloads(path: str, known: Known) -> bool:
    """Whether the change of `path` (written, created or removed) asks for a reload."""
    inside = path.removeprefix(known.folder + "/")
    parts = inside.split("/")
    if path in known.wrote or _is_side_file(path, known):
        return False
    if path in known.modules:
        return True
    if known.modules_only or inside == path or "node_modules" in parts:
        return False
    if parts[-1].startswith(".env") and len(parts) == 1:
        return True
    if any(part.startswith(".") for part in parts) or inside.endswith("~"):
        return False
    if known.is_ignored(inside) or known.is_database(path):
        return False
    return path in known.existed or inside in SETTINGS or path.endswith(ENTRY_SUFFIXES) or not known.is_running


@dataclass(slots=True)
class Habits:
    """Finds files that keep causing reloads: something the app starts writes them, unseen by the harness."""

    owned: set[str] = field(default_factory=set)
    """What was found so far."""
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)

    def caused(self, paths: Set[str], now: float) -> set[str]:
        """Note that `paths` caused a reload; returns those that did so RELOADS_IN_A_ROW_MAX times, each soon after the
        last. `now` is in seconds."""
        counted = {}
        for path in paths:
            at, count = self._last.get(path, (now, 0))
            counted[path] = (now, count + 1 if now - at <= SOON_SECONDS else 1)
        self._last = counted
        found = {path for path, (_, count) in counted.items() if count >= RELOADS_IN_A_ROW_MAX}
        self.owned |= found
        return found


# Private


def _is_side_file(path: str, known: Known) -> bool:
    """A journal beside a database, also when the database was written by a program that the harness cannot see."""
    bases = [path.removesuffix(side) for side in SQLITE_SIDES if path.endswith(side)]
    return any(base in known.wrote or known.is_database(base) for base in bases)
