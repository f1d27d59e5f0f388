"""What the bundler says of a version: whether it holds together, and its bytecode.

Bytecode is an app and all that it imports as one compiled file, where it cannot be told apart from the source. Made in
the build sandbox by harness/bundle.ts, which also judges, and tried like any candidate. Kept beside the app's
dependencies, for root alone to write, by what decides its content. What has none runs from source: there is no error.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import Version
from steadyd.runner.blobs import Blobs
from steadyd.runner.engine import Engine
from steadyd.runner.folder import MODULES, Place, scratch_path
from steadyd.runner.modules import modules_path
from steadyd.runner.sandbox import BUNDLE, Room
from steadyd.runner.tool import SCRIPT, Tools

BUNDLE_SECONDS_MAX = 60.0
BUNDLE_FILE_BYTES_MAX = 64 << 20
SMALL_BYTES = 64 << 10
"""Less source starts as fast as it is. harness/bundle.ts has the same number, for what is left of it."""
FAULTS_MAX = 10
TEXT_CHARS_MAX = 1_000
FILES = ("index.js", "index.js.jsc", "index.js.map")
WHY = "declined"
BUNDLES = "bundles"
FORM = 2
"""To be changed when harness/bundle.ts decides otherwise than before."""
ENVIRON = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "NO_COLOR": "1",
    "NODE_ENV": "production",
}
OWN_CONFIGURATION = "bunfig.toml"
"""It may name plugins, by which Bun reads what the bundler cannot."""
SMALL = "small"


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


def share(place: Place, version: Version, other: Place, same: Version, engine: Engine) -> None:
    """Let `same`, another app's version with the same files, have the bundle of `version`. Blocks."""
    made, target = bundle_path(place, version, engine), bundle_path(other, same, engine)
    if not made.is_dir() or target.is_dir():
        return
    target.parent.mkdir(mode=0o711, exist_ok=True)
    target.mkdir(mode=0o755)
    for name in os.listdir(made):  # root's own, which nobody changes
        os.link(made / name, target / name, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a start would fail, and where. `line` and `column` count from 1; `specifier` is what could not be found."""

    message: str
    file: str
    line: int
    column: int
    source_line: str
    specifier: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def refusal(faults: Sequence[Fault]) -> SteadyError:
    """The `deploy_failed` error of the contract, for the step `check`. `faults` are not empty."""
    first = faults[0]
    place = {"file": first.file, "line": first.line, "column": first.column, "source_line": first.source_line}
    details = {"step": "check", "reason": str(first), **place, "logs": [str(fault) for fault in faults]}
    return SteadyError("deploy_failed", f"The app would not start: {first}", details)


def is_small(version: Version) -> bool:
    """Whether it runs from source in any case."""
    return not version.modules and sum(file.size for file in version.files) < SMALL_BYTES


def read_faults(said: object) -> tuple[Fault, ...]:
    """What harness/check.ts said, or whoever spoke in its place."""
    return tuple(_fault(one) for one in said[:FAULTS_MAX]) if isinstance(said, list) else ()


class Bundler:
    """Asks the bundler about versions whose dependencies are installed."""

    def __init__(self, tools: Tools, blobs: Blobs) -> None:
        self._tools = tools
        self._blobs = blobs

    async def make(self, place: Place, version: Version, keep: bool = True) -> tuple[Fault, ...]:
        """Check the version, and have its bundle in place if it can have one; returns what would stop its start.

        Without `keep` it is only checked. Where the bundler has not the time, there are no faults and no bundle.
        """
        keep = keep and self._tools.sandboxed
        target = bundle_path(place, version, self._tools.engine)
        if not version.entry or (keep and target.is_dir()):
            return ()
        made = scratch_path(place, "bundle")
        try:
            room = await asyncio.to_thread(self._fill, made, place, version)
            faults, why = await self._bundle(room, version, keep and not is_small(version))
            if keep and not faults:
                await asyncio.to_thread(_keep, made / "out", target, why)
            return faults
        finally:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)

    async def decline(self, place: Place, version: Version, why: str) -> None:
        """Let the version run from source from now on."""
        target = bundle_path(place, version, self._tools.engine)
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        await asyncio.to_thread(_keep, target, target, why)

    # Private

    async def _bundle(self, room: Room, version: Version, whole: bool) -> tuple[tuple[Fault, ...], str]:
        """Have the bundler read all, for bytecode if `whole`; returns the faults, and why there is no bundle, "" if
        there is one."""
        if any(file.path == OWN_CONFIGURATION for file in version.files):
            return (), f"{OWN_CONFIGURATION} changes how it runs"
        entry = version.entry.replace("{", "{{").replace("}", "}}")
        if whole:
            words = [*SCRIPT, "{engine}/bundle.ts", "{bundle}", entry]
        else:  # the command takes half the time of a script that calls the bundler
            words = ["--no-env-file", "--config=/dev/null", "build", "--target=bun", "--outdir={bundle}", f"./{entry}"]
        result = await self._tools.run(room, words, BUNDLE_SECONDS_MAX)
        answer = result.answer() if whole else {"declined": SMALL, "failed": result.ended.code not in (0, None)}
        faults = await self._faults(room, entry) if answer.get("failed") else ()
        return faults, "" if answer.get("bundled") else str(answer.get("declined") or result.ended)

    async def _faults(self, room: Room, entry: str) -> tuple[Fault, ...]:
        result = await self._tools.run(room, [*SCRIPT, "{engine}/check.ts", entry], BUNDLE_SECONDS_MAX)
        return read_faults(result.answer().get("faults"))

    def _fill(self, made: Path, place: Place, version: Version) -> Room:
        """The version's files alone: what the app wrote is no part of what is built."""
        modules = modules_path(place, version.modules) if version.modules else None
        made.mkdir(mode=0o711)
        for name in ("app", "out"):
            (made / name).mkdir(mode=0o755)
        if modules is not None and not self._tools.sandboxed:
            (made / "app" / MODULES).symlink_to(modules)
        else:
            (made / "app" / MODULES).mkdir(mode=0o755, exist_ok=True)
        for file in version.files:
            target = made / "app" / file.path
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._show(self._blobs.path(file.sha256), target, place.uid is not None)
        if place.uid is not None:
            os.chown(made / "out", place.uid, place.uid)
        return Room(
            made / "app",
            self._tools.engine.folder,
            place.uid,
            ENVIRON,
            modules=modules,
            extra={BUNDLE: made / "out"},
            folder_read_only=True,
        )

    def _show(self, blob: Path, target: Path, linked: bool) -> None:
        """A file that the build can read: the blob itself where it is another's and cannot be changed."""
        if linked:
            try:
                os.link(blob, target, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                    raise
        shutil.copyfile(blob, target)
        target.chmod(0o444)


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
            if contents:
                os.fsync(file.fileno())
    os.rename(part, target)


def _fault(said: Any) -> Fault:
    said = said if isinstance(said, dict) else {}

    def text(name: str) -> str:
        return str(said.get(name) or "")[:TEXT_CHARS_MAX]

    def number(name: str) -> int:
        return value if isinstance(value := said.get(name), int) else 1

    return Fault(
        text("message"), text("file"), number("line"), number("column"), text("source_line"), text("specifier")
    )


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(BUNDLE_FILE_BYTES_MAX + 1)
            return content if len(content) <= BUNDLE_FILE_BYTES_MAX else b""
    return b""
