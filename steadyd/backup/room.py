"""Everything that keeps apps' data, as one value, opened and closed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from steadyd.runner.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Backups:
    """The rooms, for the control plane and the daemon."""

    workshop: Workshop


@asynccontextmanager
async def open_backups(workshop: Workshop) -> AsyncIterator[Backups]:
    """The rooms over `workshop`, until the end of the block: then what is not replicated yet is."""
    yield Backups(workshop)
