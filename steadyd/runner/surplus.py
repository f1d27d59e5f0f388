"""Which installed dependencies and bundles of an app no version needs any more.

Dependencies of a kept version stay for as long as it does: a rollback must work when the registry is gone. Bundles can
be made again, so only a few are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steadyd.model import Version
from steadyd.runner.bundle import BUNDLES
from steadyd.runner.folder import Place

BUNDLED_VERSIONS_MAX = 3
"""Of the newest versions, besides the live one."""


def surplus(place: Place, versions: Sequence[Version], live: int) -> list[Path]:
    """What can go of `place`, where `versions` are all that the records know, newest first."""
    needed = {version.modules for version in versions}
    bundled = {str(number) for number in (live, *(version.number for version in versions[:BUNDLED_VERSIONS_MAX]))}
    found = [path for path in _inside(place.root / "modules") if path.name not in needed]
    return found + [path for path in _inside(place.root / BUNDLES) if path.name.partition("-")[0] not in bundled]


# Private


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
