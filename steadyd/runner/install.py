"""Dependencies: found, resolved and installed in the sandbox before a version can go live.

What `package.json` names is installed by `bun install`; bare imports that it does not name are found in the sources
and added. Only a package.json that we wrote ourselves, with nothing but dependencies in it, reaches the installer:
no lifecycle script of the root package, no registry of the app's choice, no path or address as a dependency.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steadyd.errors import SteadyError
from steadyd.linux.usage import Enough, Walk
from steadyd.runner.folder import MODULES, Place, scratch_path
from steadyd.runner.registry import SOCKET, Registry
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Result, Tools
from steadyd.tree import ENTRY_SUFFIXES, Tree, read_package

INSTALL_SECONDS_MAX = 120.0
SCAN_SECONDS_MAX = 20.0
INSTALL_BYTES_MAX = 512 << 20
INSTALL_FILES_MAX = 50_000
"""Of one installation, folders included."""
CACHE_BYTES_MAX = 1 << 30
"""What was fetched for an app is kept for its next installations up to this, and begun anew above it."""
LOOK_EVERY_SECONDS = 0.5
UNCOUNTED = 1 << 60
LOCK = "bun.lock"
LOCK_BYTES_MAX = 8 << 20
DEPENDENCIES_MAX = 500
MAYBE_BARE = re.compile(rb"""(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](?!\.{0,2}/|node:|bun:|https?:)[^"'\s]""")
"""Cheap test: without a match there is nothing to scan for."""
NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*"
PACKAGE_NAME = re.compile(rf"{NAME}\Z")
SPEC = re.compile(rf"(?!\.)(?:npm:{NAME}(?:@|\Z))?[\w.*+^~<>=|\- ]*\Z", re.ASCII)
"""A range, a tag or another name in the registry: never a path, an address, or a place such as `user/repository`."""


Amount = tuple[int, int]
"""Bytes and files on a disk."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a version starts with. `modules` is the key of the folder, "" for none; `lock` is what the version ships:
    its own if that pins everything that was installed, else the new one."""

    modules: str = ""
    lock: bytes | None = None
    notes: tuple[str, ...] = ()


class Installer:
    """Installs what a tree needs into the app's own module cache."""

    def __init__(self, tools: Tools, registry: Registry) -> None:
        self._tools = tools
        self._registry = registry

    async def install(self, place: Place, tree: Tree, pinned: bytes = b"") -> Installed:
        """Have the dependencies of `tree` in place, from the cache where it was installed before. `pinned` is the lock
        of the version before, for a tree that ships none.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`) or `invalid`.
        """
        declared = declared_dependencies(tree)
        found = [name for name in await self._bare_imports(place, tree) if name not in declared]
        wanted = {**declared, **dict.fromkeys(found, "latest")}
        if not wanted:
            return Installed()
        lock = tree.get(LOCK, pinned)
        key = modules_key(wanted, lock, self._tools.engine.bun_version)
        notes = []
        if not lock or not modules_path(place, key).is_dir():
            fetched = await self._fetch(place, wanted, lock)
            if not set(locked(fetched)) <= set(locked(lock)):
                notes += [f"{LOCK} did not fit package.json and was renewed."] if LOCK in tree else []
                lock = fetched
            key = modules_key(wanted, lock, self._tools.engine.bun_version)
            await asyncio.to_thread(_keep, place, key)
        notes += [f"{name} {resolved(lock, name)} was added for an import." for name in found]
        return Installed(key, lock or None, tuple(notes))

    async def restore(self, place: Place, tree: Tree, key: str) -> None:
        """Have the dependencies of a kept version at `key` again, where they were lost: as its lock says, from what was
        fetched before if that is still there.

        Raises:
            SteadyError: `deploy_failed` (steps `check` and `install`).
        """
        if modules_path(place, key).is_dir():
            return
        declared = declared_dependencies(tree)
        found = [name for name in await self._bare_imports(place, tree) if name not in declared]
        await self._fetch(place, {**declared, **dict.fromkeys(found, "latest")}, tree.get(LOCK, b""))
        await asyncio.to_thread(_keep, place, key)

    # Private

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

    async def _fetch(self, place: Place, wanted: Mapping[str, str], lock: bytes) -> bytes:
        """Run `bun install` in a folder that becomes `place.root/fetched`; returns the lock."""
        folder = _fresh(place, "build")
        cache = place.root / "cache"
        if (await asyncio.to_thread(_amount, [cache]))[0] > CACHE_BYTES_MAX:
            await asyncio.to_thread(shutil.rmtree, cache, ignore_errors=True)
        cache.mkdir(mode=0o700, exist_ok=True)
        if place.uid is not None:
            os.chown(cache, place.uid, place.uid)
        files = {"package.json": json.dumps({"name": "app", "dependencies": wanted}).encode()}
        _fill(folder, {**files, LOCK: lock} if lock else files, place.uid)
        before = await asyncio.to_thread(_amount, [cache])
        async with self._registry.door(place.uid) as door:
            shown = {"/registry": door.folder, **_authorities()}
            room = Room(folder, self._tools.engine.folder, place.uid, ENVIRON, extra={"/cache": cache}, shown=shown)
            certificates = "{certificates}" if "/certificates" in shown else ""
            words = [*SCRIPT, "{engine}/install.ts", f"{{registry}}/{SOCKET}", certificates, *INSTALL]
            running = asyncio.ensure_future(self._tools.run(room, words, INSTALL_SECONDS_MAX))
            try:
                await _watched(running, [folder, cache], before)
            except BaseException:
                running.cancel()
                await asyncio.wait([running])
                shutil.rmtree(folder, ignore_errors=True)
                shutil.rmtree(cache, ignore_errors=True)
                raise
            result = running.result()
        if not result.ok or not (folder / MODULES).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            raise _failed(result, door.trouble)
        fetched = _read_plain(folder / LOCK)
        shutil.rmtree(place.root / "fetched", ignore_errors=True)
        os.rename(folder, place.root / "fetched")
        return fetched


ENVIRON = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "NO_COLOR": "1",
}
INSTALL = ("--ignore-scripts", "--no-progress", "--cache-dir={cache}", "--linker=hoisted")
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the authorities that this host trusts, besides those that Bun knows."""
MISSING = re.compile(r"error: GET https://[^/ ]+/(\S+) - 404")


def declared_dependencies(tree: Tree) -> dict[str, str]:
    """What package.json asks for, development dependencies left out.

    Raises:
        SteadyError: `invalid` for something that is no dependency from the registry.
    """
    package = read_package(tree)
    wanted: dict[str, str] = {}
    for group in ("dependencies", "optionalDependencies", "peerDependencies"):
        entries = package.get(group, {})
        if not isinstance(entries, dict):
            raise SteadyError("invalid", f"“{group}” in package.json must be an object.", {"file": "package.json"})
        for name, spec in entries.items():
            if not isinstance(spec, str) or not SPEC.match(spec) or not PACKAGE_NAME.match(name):
                message = f"“{name}: {spec}” in package.json is not a package of the registry."
                raise SteadyError("invalid", message, {"file": "package.json", "dependency": name[:200]})
            wanted.setdefault(name, spec)
    if len(wanted) > DEPENDENCIES_MAX:
        raise SteadyError("too_large", f"{len(wanted)} dependencies; an app may have {DEPENDENCIES_MAX}.")
    return wanted


def modules_key(wanted: Mapping[str, str], lock: bytes, bun_version: str) -> str:
    """The address of an installed tree: what was asked for, what it was resolved to, and who installed it."""
    digest = hashlib.sha256(json.dumps([sorted(wanted.items()), bun_version]).encode())
    digest.update(lock)
    return digest.hexdigest()[:32]


def modules_path(place: Place, key: str) -> Path:
    return place.root / "modules" / key / MODULES


def locked(lock: bytes) -> list[bytes]:
    """The lines of a bun.lock that pin a package."""
    return [line.strip() for line in lock.partition(b'"packages": {')[2].splitlines() if b": [" in line]


def resolved(lock: bytes, name: str) -> str:
    """The exact version that bun.lock gives `name`, or "" (its lines read `"name": ["name@1.2.3", …`)."""
    escaped = re.escape(name.encode())
    match = re.search(rb'"' + escaped + rb'": \["' + escaped + rb'@([^"]+)"', lock)
    return match[1].decode("utf-8", "replace") if match else ""


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


async def _watched(running: asyncio.Future[Result], folders: Sequence[Path], before: Amount) -> None:
    """Wait for an installation, and look at what it puts on the disk.

    Raises:
        SteadyError: `too_large` as soon as that is too much.
    """
    done: set[asyncio.Future[Result]] = set()
    while not done:
        done, _ = await asyncio.wait({running}, timeout=LOOK_EVERY_SECONDS)
        bytes_now, files_now = await asyncio.to_thread(_amount, folders)
        if bytes_now > before[0] + INSTALL_BYTES_MAX or files_now > before[1] + INSTALL_FILES_MAX:
            most = f"{INSTALL_BYTES_MAX >> 20} MiB in {INSTALL_FILES_MAX:,} files"
            raise SteadyError("too_large", f"The dependencies are too large: an app may have {most}.")


def _amount(folders: Sequence[Path]) -> Amount:
    """Bytes and files below `folders`, each file once."""
    walk = Walk(None, UNCOUNTED, UNCOUNTED)
    with contextlib.suppress(Enough):
        for folder in folders:
            walk.folder(str(folder))
    return walk.bytes, walk.inodes


def _keep(place: Place, key: str) -> None:
    target = place.root / "modules" / key
    target.parent.mkdir(mode=0o711, exist_ok=True)
    fetched = place.root / "fetched"
    os.sync()  # what a version starts with is on the disk before the version is named
    os.chmod(fetched, 0o711)
    if target.exists():
        shutil.rmtree(fetched, ignore_errors=True)
        return
    os.rename(fetched, target)


def _scanned(result: Result) -> list[str]:
    """The packages. A file that does not parse names none, and whether that matters is seen when all is in place."""
    answer = result.answer()
    if "packages" not in answer:
        reason = "The imports could not be read in time." if result.timed_out else "The imports could not be read."
        details = {"step": "check", "reason": reason, "logs": result.last_lines()}
        raise SteadyError("deploy_failed", reason, details)
    return sorted({str(name) for name in answer["packages"]})[:DEPENDENCIES_MAX]


def _failed(result: Result, trouble: str) -> SteadyError:
    lines = result.last_lines()
    missing = [match[1].replace("%2f", "/") for line in lines if (match := MISSING.match(line))]
    if trouble:
        reason = trouble
    elif result.timed_out:
        reason = f"bun install did not end within {INSTALL_SECONDS_MAX:g} s."
    elif missing:
        reason = f"“{missing[0]}” is not in the registry. Check the name."
    else:
        told = [line.removeprefix("error: ") for line in lines if line.startswith("error")]
        reason = told[0] if told else f"bun install ended with {result.ended}."
    return SteadyError(
        "deploy_failed",
        f"The dependencies were not installed: {reason}",
        {"step": "install", "reason": reason, "logs": lines},
    )


def _read_plain(path: Path) -> bytes:
    """A regular file's content, bounded; the folder was written under the app's uid, so no link is followed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(LOCK_BYTES_MAX)
    return b""
