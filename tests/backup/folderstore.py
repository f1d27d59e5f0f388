"""An object store that is a folder, and can be away: what contents are put into where nothing else is tried."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadyd.errors import SteadyError


@dataclass
class FolderStore:
    folder: Path
    away: bool = False
    puts: list[str] = field(default_factory=list)
    holding: asyncio.Event | None = None
    """Puts and deletes wait for it, if there is one."""

    def path(self, key: str) -> Path:
        return self.folder / key

    async def put_file(self, key: str, path: Path, *, link: bool = False, app_id: str = "") -> None:
        await self._reach()
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.path(key))
        self.puts.append(key)

    async def fetch(self, key: str, path: Path, *, app_id: str = "") -> bool:
        await self._reach()
        if not self.path(key).exists():
            return False
        shutil.copyfile(self.path(key), path)
        return True

    async def delete(self, keys: Sequence[str], *, app_id: str = "") -> None:
        await self._reach()
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    async def _reach(self) -> None:
        if self.holding is not None:
            await self.holding.wait()
        if self.away:
            raise SteadyError("replica_away", "The object store cannot be reached.")
