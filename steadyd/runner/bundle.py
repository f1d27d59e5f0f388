"""Bytecode: an app and all that it imports as one compiled file, where it cannot be told apart from the source.

Made in the build sandbox by harness/bundle.ts, which also judges, and tried like any candidate. Kept beside the app's
dependencies, for root alone to write, by what decides its content. What has none runs from source: there is no error.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.engine import Engine
from steadyd.runner.folder import MODULES, Place, scratch_path
from steadyd.runner.install import modules_path
from steadyd.runner.sandbox import BUNDLE, Room
from steadyd.runner.tool import SCRIPT, Tools

BUNDLE_SECONDS_MAX = 60.0
BUNDLE_FILE_BYTES_MAX = 64 << 20
FILES = ("index.js", "index.js.jsc", "index.js.map")
WHY = "declined"
BUNDLES = "bundles"
FORM = 1
"""To be changed when harness/bundle.ts decides otherwise than before."""
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "NO_COLOR": "1"}


def bundle_key(version: Version, engine: Engine) -> str:
    """The address of a bundle: the files, the dependencies, the entry, and who made it."""
    files = [(file.path, file.sha256) for file in version.files]
    decides = [sorted(files), version.modules, version.entry, engine.bun_version, FORM]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


def bundle_path(place: Place, version: Version, engine: Engine) -> Path:
    """Named by the version, with which it goes, and its key."""
    return place.root / BUNDLES / f"{version.number}-{bundle_key(version, engine)}"


def find_bundle(place: Place, version: Version, engine: Engine) -> Path | None:
    """The folder of the version's bundle; None if it runs from source."""
    path = bundle_path(place, version, engine)
    return path if (path / FILES[0]).exists() else None


class Bundler:
    """Makes bundles for versions whose dependencies are installed."""

    def __init__(self, tools: Tools, blobs: Blobs) -> None:
        self._tools = tools
        self._blobs = blobs

    async def make(self, place: Place, version: Version) -> bool:
        """Have the version's bundle in place, if it can have one; returns whether it has."""
        target = bundle_path(place, version, self._tools.engine)
        if not self._tools.sandboxed or not version.entry:
            return False
        if not target.is_dir():
            made = scratch_path(place, "bundle")
            try:
                why = await self._bundle(place, version, made)
                await asyncio.to_thread(_keep, made / "out", target, why)
            finally:
                await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)
        return find_bundle(place, version, self._tools.engine) is not None

    async def decline(self, place: Place, version: Version, why: str) -> None:
        """Let the version run from source from now on."""
        target = bundle_path(place, version, self._tools.engine)
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        await asyncio.to_thread(_keep, target, target, why)

    # Private

    async def _bundle(self, place: Place, version: Version, made: Path) -> str:
        """Bundle into `made/out`; returns why that came to nothing, "" if it did not."""
        await asyncio.to_thread(self._fill, made, version, place.uid)
        room = Room(
            made / "app",
            self._tools.engine.folder,
            place.uid,
            ENVIRON,
            modules=modules_path(place, version.modules) if version.modules else None,
            extra={BUNDLE: made / "out"},
            folder_read_only=True,
        )
        entry = version.entry.replace("{", "{{").replace("}", "}}")
        words = [*SCRIPT, "{engine}/bundle.ts", BUNDLE, entry]
        result = await self._tools.run(room, words, BUNDLE_SECONDS_MAX)
        answer = result.answer()
        return "" if answer.get("bundled") else str(answer.get("declined") or result.ended)

    def _fill(self, made: Path, version: Version, uid: int | None) -> None:
        made.mkdir(mode=0o711)
        for name in ("app", "out"):
            (made / name).mkdir(mode=0o755)
        (made / "app" / MODULES).mkdir(mode=0o755, exist_ok=True)
        for file in version.files:
            target = made / "app" / file.path
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            shutil.copyfile(self._blobs.path(file.sha256), target)
            target.chmod(0o444)
        if uid is not None:
            os.chown(made / "out", uid, uid)


# Private


def _keep(source: Path, target: Path, why: str) -> None:
    """Copy what was made, which the app's uid may have put there: no link is followed, and nothing is taken whole."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(mode=0o711, exist_ok=True)
    part.mkdir(mode=0o755)
    contents = {} if why else {name: _read(source / name) for name in FILES}
    if not all(contents.values()):
        contents, why = {}, "a file is missing or too large"
    for name, content in (contents or {WHY: why[:1000].encode()}).items():
        with open(part / name, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o444)
            file.flush()
            os.fsync(file.fileno())
    os.rename(part, target)


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(BUNDLE_FILE_BYTES_MAX + 1)
            return content if len(content) <= BUNDLE_FILE_BYTES_MAX else b""
    return b""
