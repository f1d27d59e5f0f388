"""An app's archive as it was sent: checked whole before anything is made of it."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, cast

from starlette.requests import Request

from steadyd.appfile import AppFile, Manifest
from steadyd.tree import TreeLimits
from steadyd.web.body import Allowance, pieces

SPOOL_BYTES = 1 << 20
"""One up to this size stays in memory; a larger one waits in a temporary file without a name."""


@dataclass(frozen=True, slots=True)
class Carried:
    """It, in a file that is the caller's to close, and the files of the version that was live."""

    manifest: Manifest
    file: BinaryIO
    size: int
    tree: dict[str, bytes]


async def receive_app(request: Request, body_bytes: int, allowance: Allowance, limits: TreeLimits) -> Carried:
    """Read it whole.

    Raises:
        SteadyError: `invalid_archive`, `invalid_path`, `too_large`, `overloaded`; whatever a body can be refused for.
    """
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115 closed with the call
    try:
        async with pieces(request, body_bytes, allowance) as read:
            async for piece in read:
                file.write(piece)
            size = file.tell()
            manifest, tree = await asyncio.to_thread(_proven, file, limits)
    except BaseException:
        file.close()
        raise
    return Carried(manifest, file, size, tree)


# Private


def _proven(file: BinaryIO, limits: TreeLimits) -> tuple[Manifest, dict[str, bytes]]:
    """Read all of it once: what it holds is what it says. Blocks."""
    app = AppFile(file, limits)
    files = app.manifest.running.files
    needed, contents = set(files.values()), {}
    for entry, content in app.contents():
        if entry.sha256 in needed and entry.kept is None:
            contents[entry.sha256] = b"".join(content)
    return app.manifest, {path: contents[address] for path, address in files.items()}
