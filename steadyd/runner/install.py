"""Dependencies: found, resolved and installed in the sandbox before a version can go live.

What `package.json` names is installed by `bun install`; bare imports that it does not name are found in the sources
and added. Only a package.json that we wrote ourselves, with nothing but dependencies in it, reaches the installer:
no lifecycle script of the root package, no registry of the app's choice, no path or address as a dependency.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.runner.dependencies import DEPENDENCIES_MAX, declared_dependencies
from steadyd.runner.diagnosis import Said, diagnose
from steadyd.runner.folder import MODULES, Place, scratch_path
from steadyd.runner.lockfile import LOCK, canonical, modules_key, pins, resolved
from steadyd.runner.modules import Modules
from steadyd.runner.outlay import Outlay, Tell, amount
from steadyd.runner.registry import SOCKET, Door, Registry
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Result, Tools
from steadyd.runner.trash import Trash
from steadyd.tree import ENTRY_SUFFIXES, Tree

INSTALL_SECONDS_MAX = 120.0
SCAN_SECONDS_MAX = 20.0
CACHE_BYTES_MAX = 1 << 30
"""What was fetched for an app is kept for its next installations up to this, and begun anew above it."""
RESOLUTION_SECONDS_MAX = 600.0
"""Who asks for the same without a lock gets what was resolved this long ago, at no cost."""
RESOLUTIONS_MAX = 256
RENEWED_SHOWN = 5
LOCK_BYTES_MAX = 8 << 20
MAYBE_BARE = re.compile(rb"""(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](?!\.{0,2}/|node:|bun:|https?:)[^"'\s]""")
"""Cheap test: without a match there is nothing to scan for."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a version starts with. `modules` is the key of the set, "" for none; `lock` is what the version ships:
    its own if that pins everything that was installed, else the new one."""

    modules: str = ""
    lock: bytes | None = None
    notes: tuple[str, ...] = ()


class Installer:
    """Has what a tree needs among this host's sets of dependencies, and a link to it beside the app."""

    def __init__(self, tools: Tools, registry: Registry, modules: Modules) -> None:
        self._tools = tools
        self._registry = registry
        self._modules = modules
        self._resolutions: dict[str, tuple[float, bytes]] = {}

    async def install(self, place: Place, tree: Tree, pinned: bytes = b"", tell: Tell = lambda said: None) -> Installed:
        """Have the dependencies of `tree` in place, without the registry where any app of this host had them before.
        `pinned` is the lock of the version before, for a tree that ships none.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`), `too_large` or `invalid`.
        """
        wanted, found = await self._wanted(place, tree)
        if not wanted:
            return Installed()
        given = tree.get(LOCK, pinned)
        canonical(given)
        notes = []
        async with self._modules.turn(self._key(wanted, given)):
            lock = given or self._resolved_lately(wanted)
            key = self._key(wanted, lock)
            if not lock or not await asyncio.to_thread(self._modules.link, place, key):
                folder, fetched = await self._fetch(place, tree, wanted, lock, tell)
                renewed = pins(fetched).items() - pins(lock).items()
                if renewed:
                    notes += [_renewed({name for name, _ in renewed})] if LOCK in tree else []
                    lock = fetched
                key = self._key(wanted, lock)
                await asyncio.to_thread(self._modules.keep, place, key, folder)
            if not given:
                self._remember(wanted, lock)
        notes += [f"{name} {resolved(lock, name)} was added for an import." for name in found]
        return Installed(key, lock or None, tuple(notes))

    async def restore(self, place: Place, tree: Tree, key: str) -> None:
        """Have the dependencies of a kept version at `key` again, where they were lost: as its lock says, from what was
        fetched before if that is still there.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`).
        """
        async with self._modules.turn(key):
            if await asyncio.to_thread(self._modules.link, place, key):
                return
            wanted, _ = await self._wanted(place, tree)
            folder, _ = await self._fetch(place, tree, wanted, tree.get(LOCK, b""), lambda said: None)
            await asyncio.to_thread(self._modules.keep, place, key, folder)

    async def tidy(self, trash: Trash) -> None:
        """Let go of the sets that no app needs any more."""
        for path in await asyncio.to_thread(self._modules.unlinked):
            await trash.throw(path)

    # Private

    def _key(self, wanted: Mapping[str, str], lock: bytes) -> str:
        return modules_key(wanted, lock, self._tools.engine.bun_version)

    async def _wanted(self, place: Place, tree: Tree) -> tuple[dict[str, str], list[str]]:
        """What is to be installed, and which of it was found as imports only."""
        declared = declared_dependencies(tree)
        found = [name for name in await self._bare_imports(place, tree) if name not in declared]
        return {**declared, **dict.fromkeys(found, "latest")}, found

    async def _bare_imports(self, place: Place, tree: Tree) -> list[str]:
        sources = {
            path: text for path, text in tree.items() if path.endswith(ENTRY_SUFFIXES) and MAYBE_BARE.search(text)
        }
        if not sources:
            return []
        beside = {path: tree[path] for path in ("tsconfig.json", "package.json") if path in tree}
        folder = _fresh(place, "scan")
        try:
            _fill(folder, {**sources, **beside}, place.uid)
            room = Room(folder, self._tools.engine.folder, place.uid, ENVIRON, folder_read_only=True)
            paths = [path.replace("{", "{{").replace("}", "}}") for path in sorted(sources)]
            result = await self._tools.run(room, [*SCRIPT, "{engine}/imports.ts", *paths], SCAN_SECONDS_MAX)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return _scanned(result)

    def _resolved_lately(self, wanted: Mapping[str, str]) -> bytes:
        """The lock that somebody got minutes ago who asked for the same and had none."""
        at, lock = self._resolutions.get(self._key(wanted, b""), (-RESOLUTION_SECONDS_MAX, b""))
        return lock if time.monotonic() - at < RESOLUTION_SECONDS_MAX else b""

    def _remember(self, wanted: Mapping[str, str], lock: bytes) -> None:
        if not self._resolved_lately(wanted):
            key = self._key(wanted, b"")
            self._resolutions.pop(key, None)
            self._resolutions[key] = (time.monotonic(), lock)
        while len(self._resolutions) > RESOLUTIONS_MAX:
            del self._resolutions[next(iter(self._resolutions))]

    async def _fetch(
        self, place: Place, tree: Tree, wanted: Mapping[str, str], lock: bytes, tell: Tell
    ) -> tuple[Path, bytes]:
        """Run `bun install`; returns a folder that the caller moves, and the lock."""
        folder = _fresh(place, "build")
        try:
            cache = await asyncio.to_thread(_cache, place)
            files = {"package.json": json.dumps({"name": "app", "dependencies": wanted}).encode()}
            _fill(folder, {**files, LOCK: canonical(lock)} if lock else files, place.uid)
            tell(f"Resolving {len(wanted)} {'dependency' if len(wanted) == 1 else 'dependencies'}.")
            async with self._registry.door(place.uid) as door:
                result = await self._run(place, folder, cache, door, tell)
            if not result.ok or not (folder / MODULES).is_dir():
                lines = [line for line in result.last_lines() if line and not line.startswith("{")]
                timed_out = INSTALL_SECONDS_MAX if result.timed_out else 0.0
                nearest = [str(version) for version in result.answer().get("nearest", [])]
                said = Said(lines, str(result.ended), (door.cause, door.trouble), timed_out, nearest)
                raise diagnose(said, tree).as_error(lines)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder, _read_plain(folder / LOCK)

    async def _run(self, place: Place, folder: Path, cache: Path, door: Door, tell: Tell) -> Result:
        shown = {"/registry": door.folder, **_authorities()}
        room = Room(folder, self._tools.engine.folder, place.uid, ENVIRON, extra={"/cache": cache}, shown=shown)
        certificates = "{certificates}" if "/certificates" in shown else ""
        words = [*SCRIPT, "{engine}/install.ts", f"{{registry}}/{SOCKET}", certificates, *INSTALL]
        outlay = await asyncio.to_thread(Outlay, folder, cache, tell)
        running = asyncio.ensure_future(self._tools.run(room, words, INSTALL_SECONDS_MAX))
        try:
            await outlay.watch(running)
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            shutil.rmtree(cache, ignore_errors=True)
            raise
        return running.result()


ENVIRON = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "NO_COLOR": "1",
}
INSTALL = ("--ignore-scripts", "--no-progress", "--cache-dir={cache}", "--linker=hoisted", "--backend=copyfile")
"""Copies, because what is installed is shared, and what was fetched is the app's own."""
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the authorities that this host trusts, besides those that Bun knows."""


# Private


def _fresh(place: Place, kind: str) -> Path:
    """An empty folder beside the app's, owned by the app's uid."""
    folder = scratch_path(place, kind)
    folder.mkdir(mode=0o700)
    if place.uid is not None:
        os.chown(folder, place.uid, place.uid)
    return folder


def _fill(folder: Path, files: Tree, uid: int | None) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if uid is not None:
        for owned in folder.rglob("*"):
            os.chown(owned, uid, uid)


def _authorities() -> dict[str, Path]:
    """The first of this host's lists of authorities, to be shown at /certificates; none where it has none."""
    for path in map(Path, CERTIFICATES):
        if path.is_file():
            return {"/certificates": path}
    return {}


def _cache(place: Place) -> Path:
    """Where what is fetched for this app stays; no other app's installation reads it."""
    cache = place.root / "cache"
    if amount([cache])[0] > CACHE_BYTES_MAX:
        shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(mode=0o700, exist_ok=True)
    if place.uid is not None:
        os.chown(cache, place.uid, place.uid)
    return cache


def _scanned(result: Result) -> list[str]:
    """The packages. A file that does not parse names none, and whether that matters is seen when all is in place."""
    answer = result.answer()
    if "packages" not in answer:
        reason = "The imports could not be read in time." if result.timed_out else "The imports could not be read."
        details = {"step": "check", "reason": reason, "logs": result.last_lines()}
        raise SteadyError("deploy_failed", reason, details)
    return sorted({str(name) for name in answer["packages"]})[:DEPENDENCIES_MAX]


def _renewed(packages: set[str]) -> str:
    """What a lock did not pin, a few of them by name."""
    names = sorted(packages)
    more = f" and {len(names) - RENEWED_SHOWN} more" if len(names) > RENEWED_SHOWN else ""
    return f"{LOCK} did not fit package.json and was renewed: {', '.join(names[:RENEWED_SHOWN])}{more}."


def _read_plain(path: Path) -> bytes:
    """A regular file's content, bounded; the folder was written under the app's uid, so no link is followed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(LOCK_BYTES_MAX)
    return b""
