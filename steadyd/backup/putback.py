"""Captured files, put back into a folder: as the app's own, with their modes, and never through a link.

Each content is fetched to where the app cannot reach, checked, and renamed into its place. All of this blocks, except
for fetching.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steadyd.backup.manifest import Manifest
from steadyd.backup.reading import WALK
from steadyd.errors import SteadyError
from steadyd.runner.folder import Place

FETCHES_MAX = 8
"""At once, for one app."""
NAMED_MAX = 20
"""Missing files that an error names."""

Fetch = Callable[[str, Path], Awaitable[bool]]
"""(SHA-256, new file) → whether the content is there."""


async def put_back(manifest: Manifest, place: Place, fetch: Fetch) -> None:
    """Every file and folder of `manifest` into the folder of `place`, in which nothing runs. A file that lies there
    already is replaced.

    Raises:
        SteadyError: `backup_broken` naming the files whose contents are nowhere, or for a folder in which something
            else is in the way; whatever `fetch` raises. What was put in until then stays.
    """
    parts = place.root / f"put-back-{os.urandom(6).hex()}"
    parts.mkdir(mode=0o700)
    paths: dict[str, list[str]] = {}
    for path, kept in sorted(manifest.files.items()):
        paths.setdefault(kept.sha256, []).append(path)
    missing: list[str] = []
    slots = asyncio.Semaphore(FETCHES_MAX)

    async def bring(sha256: str) -> None:
        async with slots:
            part = parts / sha256
            if not await fetch(sha256, part):
                missing.extend(paths[sha256])
                return
            for path in paths[sha256][:-1]:
                await asyncio.to_thread(_place, place, path, part, manifest.files[path].mode, True)
            last = paths[sha256][-1]
            await asyncio.to_thread(_place, place, last, part, manifest.files[last].mode, False)

    try:
        await asyncio.to_thread(_folders, manifest, place)
        async with asyncio.TaskGroup() as group:
            for sha256 in paths:
                group.create_task(bring(sha256))
        await asyncio.to_thread(_modes, manifest, place)
    except* SteadyError as errors:
        raise errors.exceptions[0] from None
    except* OSError as errors:
        raise SteadyError("backup_broken", f"The files could not be put back: {errors.exceptions[0]}") from errors
    finally:
        await asyncio.to_thread(shutil.rmtree, parts, True)
    if missing:
        named = sorted(missing)[:NAMED_MAX]
        message = f"{len(missing)} captured files are missing in the backup, first “{named[0]}”. Nothing was changed."
        raise SteadyError("backup_broken", message, {"missing": named, "count": len(missing)})


# Private


def _folders(manifest: Manifest, place: Place) -> None:
    for path in sorted(manifest.folders):
        with _inside(place, path):
            pass


def _modes(manifest: Manifest, place: Place) -> None:
    """Last, and the inner ones first: one may be closed to ourselves."""
    for path in sorted(manifest.folders, reverse=True):
        with _inside(place, path) as folder:
            os.fchmod(folder, manifest.folders[path])


def _place(place: Place, path: str, part: Path, mode: int, again: bool) -> None:
    """`part` becomes the file at `path`; a copy of it, if it is needed `again`."""
    source = part
    if again:
        source = part.with_name(f"{part.name}-{os.urandom(4).hex()}")
        shutil.copyfile(part, source)
    folder, _, name = path.rpartition("/")
    os.chmod(source, mode)
    if place.uid is not None:
        os.chown(source, place.uid, place.uid, follow_symlinks=False)
    with _inside(place, f"{folder}/" if folder else "") as target:
        os.rename(source, name, dst_dir_fd=target)


@contextmanager
def _inside(place: Place, path: str) -> Iterator[int]:
    """A descriptor of a folder in the app's, made where it is missing. Never through a link."""
    folder = os.open(place.app, WALK)
    try:
        for part in filter(None, path.split("/")):
            made = False
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=folder)
                made = True
            below = os.open(part, WALK, dir_fd=folder)
            os.close(folder)
            folder = below
            if made and place.uid is not None:
                os.fchown(folder, place.uid, place.uid)
        yield folder
    finally:
        os.close(folder)
