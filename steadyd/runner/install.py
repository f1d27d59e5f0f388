"""Dependencies: found, resolved and installed in the sandbox before a version can go live.

What `package.json` names is installed by `bun install`; bare imports that it does not name are found in the sources
and added. Only a package.json that we wrote ourselves, with nothing but dependencies in it, reaches the installer:
no lifecycle script of the root package, no registry of the app's choice, no path or address as a dependency. Scripts of
the packages that the app trusts run afterwards (scripts.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.runner.dependencies import DEPENDENCIES_MAX, declared_dependencies, trusted_dependencies
from steadyd.runner.diagnosis import Diagnosis, Said, diagnose
from steadyd.runner.folder import MODULES, Place, scratch_path
from steadyd.runner.lockfile import LOCK, SCRIPTED, canonical, modules_key, pins, resolved, trusted_packages
from steadyd.runner.modules import Modules
from steadyd.runner.outlay import Outlay, Tell, amount
from steadyd.runner.registry import SOCKET, Door, Registry
from steadyd.runner.sandbox import Room
from steadyd.runner.scripts import run_scripts
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
NAMES_SHOWN = 5
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


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tree asks for: package → range; those `found` as imports only; the names of those that may run scripts."""

    packages: Mapping[str, str]
    found: Collection[str] = ()
    trusted: Collection[str] = ()

    def key(self, lock: bytes, bun_version: str) -> str:
        """Of the set that these are with `lock`."""
        return modules_key(self.packages, lock, bun_version, self.trusted)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An installation in `folder`, which the caller moves; its lock, and the packages whose scripts ran."""

    folder: Path
    lock: bytes
    ran: Collection[str]


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
        wish = await self._wish(place, tree, trusted_dependencies(tree))
        if not wish.packages:
            return Installed()
        given = tree.get(LOCK, pinned)
        canonical(given)
        notes = []
        async with self._modules.turn(self._key(wish, given)):
            lock = given or self._resolved_lately(wish)
            key = self._key(wish, lock)
            if not lock or not await asyncio.to_thread(self._modules.link, place, key):
                fetched = await self._fetch(place, tree, wish, lock, tell)
                renewed = pins(fetched.lock).items() - pins(lock).items()
                if renewed:
                    notes += [_renewed({name for name, _ in renewed})] if LOCK in tree else []
                    lock = fetched.lock
                notes += [f"Scripts ran of {_few(fetched.ran)}."] if fetched.ran else []
                key = self._key(wish, lock)
                await self._keep(place, key, fetched.folder)
            if not given:
                self._remember(wish, lock)
        notes += [f"{name} {resolved(lock, name)} was added for an import." for name in wish.found]
        return Installed(key, lock or None, tuple(notes))

    async def lend(self, place: Place, key: str) -> None:
        """Have the set at `key`, which is there, stay as long as the folder `place` does."""
        await asyncio.to_thread(self._modules.link, place, key)

    async def key_of(self, place: Place, tree: Tree) -> str:
        """The key of the set that a version which is brought here needs, with its own lock; "" for none. Nothing is
        installed before that version is to run.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`), `too_large` or `invalid`.
        """
        wish = await self._wish(place, tree, trusted_dependencies(tree))
        canonical(lock := tree.get(LOCK, b""))
        return self._key(wish, lock) if wish.packages else ""

    async def restore(self, place: Place, tree: Tree, key: str) -> None:
        """Have the dependencies of a kept version at `key` again, where they were lost: as its lock says, from what was
        fetched before if that is still there.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`).
        """
        async with self._modules.turn(key):
            if await asyncio.to_thread(self._modules.link, place, key):
                return
            wish = await self._wish(place, tree, trusted_dependencies(tree) if key.endswith(SCRIPTED) else ())
            lock = tree.get(LOCK, b"")
            fetched = await self._fetch(place, tree, wish, lock, lambda said: None)
            if renewed := pins(fetched.lock).items() - pins(lock).items():
                await asyncio.to_thread(shutil.rmtree, fetched.folder, ignore_errors=True)
                raise _unpinned({name for name, _ in renewed})
            await self._keep(place, key, fetched.folder)

    async def tidy(self, trash: Trash) -> None:
        """Let go of the sets that no app needs any more."""
        for path in await asyncio.to_thread(self._modules.unlinked):
            await trash.throw(path)

    # Private

    def _key(self, wish: Wish, lock: bytes) -> str:
        return wish.key(lock, self._tools.engine.bun_version)

    async def _wish(self, place: Place, tree: Tree, trusted: Collection[str]) -> Wish:
        declared = declared_dependencies(tree)
        found = [name for name in await self._bare_imports(place, tree) if name not in declared]
        return Wish({**declared, **dict.fromkeys(found, "latest")}, found, trusted)

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

    def _resolved_lately(self, wish: Wish) -> bytes:
        """The lock that somebody got minutes ago who asked for the same and had none."""
        at, lock = self._resolutions.get(self._key(wish, b""), (-RESOLUTION_SECONDS_MAX, b""))
        return lock if time.monotonic() - at < RESOLUTION_SECONDS_MAX else b""

    def _remember(self, wish: Wish, lock: bytes) -> None:
        if not self._resolved_lately(wish):
            key = self._key(wish, b"")
            self._resolutions.pop(key, None)
            self._resolutions[key] = (time.monotonic(), lock)
        while len(self._resolutions) > RESOLUTIONS_MAX:
            del self._resolutions[next(iter(self._resolutions))]

    async def _fetch(self, place: Place, tree: Tree, wish: Wish, lock: bytes, tell: Tell) -> Fetched:
        """Run `bun install`, and then the scripts of what the app trusts."""
        folder = _fresh(place, "build")
        try:
            cache = await asyncio.to_thread(_cache, place)
            files = {"package.json": json.dumps({"name": "app", "dependencies": wish.packages}).encode()}
            _fill(folder, {**files, LOCK: canonical(lock)} if lock else files, place.uid)
            count = len(wish.packages)
            tell(f"Resolving {count} {'dependency' if count == 1 else 'dependencies'}.")
            outlay = await asyncio.to_thread(Outlay, folder, cache, tell)
            async with self._registry.door(place.uid) as door:
                room = self._room(place, folder, door)
                result = await self._install(room, cache, outlay)
                if not result.ok or not (folder / MODULES).is_dir():
                    raise _failure(result, door, tree)
                fetched = _read_plain(folder / LOCK)
                packages = trusted_packages(fetched, wish.trusted)
                if packages:
                    tell(f"Running scripts of {_few({package.name for package in packages})}.")
                ran = await run_scripts(self._tools, room, _way_out(room), packages, outlay)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Fetched(folder, fetched, ran)

    async def _install(self, room: Room, cache: Path, outlay: Outlay) -> Result:
        room = replace(room, extra={"/cache": cache})
        words = [*SCRIPT, "{engine}/install.ts", *_way_out(room), *INSTALL]
        try:
            return await outlay.attend(self._tools.run(room, words, INSTALL_SECONDS_MAX))
        except BaseException:
            shutil.rmtree(cache, ignore_errors=True)
            raise

    def _room(self, place: Place, folder: Path, door: Door) -> Room:
        shown = {"/registry": door.folder, **_authorities()}
        return Room(folder, self._tools.engine.folder, place.uid, ENVIRON, shown=shown)

    async def _keep(self, place: Place, key: str, folder: Path) -> None:
        """Make what was installed the set of `key`.

        Raises:
            SteadyError: `deploy_failed` where a script nested folders deeper than a path can say.
        """
        try:
            await asyncio.to_thread(self._modules.keep, place, key, folder)
        except OSError as error:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            if error.errno == errno.ENAMETOOLONG:
                reason = "a script of a package made folders too deep to be kept."
                raise Diagnosis("script_failed", reason).as_error([]) from None
            raise


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


def _way_out(room: Room) -> tuple[str, str]:
    """The words for harness/door.ts."""
    return f"{{registry}}/{SOCKET}", "{certificates}" if "/certificates" in room.shown else ""


def _failure(result: Result, door: Door, tree: Tree) -> SteadyError:
    """Of an installation that did not succeed."""
    lines = [line for line in result.last_lines() if line and not line.startswith("{")]
    timed_out = INSTALL_SECONDS_MAX if result.timed_out else 0.0
    nearest = [str(version) for version in result.answer().get("nearest", [])]
    said = Said(lines, str(result.ended), (door.cause, door.trouble), timed_out, nearest)
    return diagnose(said, tree).as_error(lines)


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


def _renewed(packages: Collection[str]) -> str:
    """What a lock did not pin."""
    return f"{LOCK} did not fit package.json and was renewed: {_few(packages)}."


def _unpinned(packages: Collection[str]) -> SteadyError:
    """A set is shared by the key of its lock, so a lock that leaves something open is none for it."""
    reason = f"{LOCK} does not pin {_few(packages)}, so what the version ran with cannot be had again. Deploy it anew."
    return SteadyError("deploy_failed", reason, {"step": "install", "reason": reason, "logs": []})


def _few(packages: Collection[str]) -> str:
    """Some of them by name."""
    names = sorted(packages)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"


def _read_plain(path: Path) -> bytes:
    """A regular file's content, bounded; the folder was written under the app's uid, so no link is followed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(LOCK_BYTES_MAX)
    return b""
