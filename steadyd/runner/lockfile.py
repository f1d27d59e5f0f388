"""bun.lock: what pins an app's dependencies, read by us before Bun reads it. No I/O.

A lock can name any tarball of the registry for any package, and Bun takes it, and keeps it under the wrong name (tried
on 1.4.4: left-pad's as hono's). So Bun gets a lock of our own writing, with those entries only that leave it no choice:
a name, a version, and the hash of what the registry has there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from steadyd.errors import SteadyError
from steadyd.runner.dependencies import NAME, PACKAGE_NAME

LOCK = "bun.lock"
PINNED = re.compile(rf"{NAME}@\d[\w.+-]*\Z", re.ASCII)
HASH = re.compile(r"(?:sha512-[A-Za-z0-9+/]{86}==|sha1-[A-Za-z0-9+/]{27}=)\Z")
"""Whole, because Bun takes one of another length for none."""
SURPLUS_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
KEPT = ("lockfileVersion", "configVersion")
NEEDS = ("dependencies", "optionalDependencies", "peerDependencies")
SCRIPTED = "-scripts"
"""How the key of a set ends whose packages ran scripts."""


class Package(NamedTuple):
    """One that is installed: its name in the registry, and its folder in node_modules."""

    name: str
    folder: str


def canonical(lock: bytes) -> bytes:
    """What Bun may see of `lock`; b"" of none.

    Raises:
        SteadyError: `deploy_failed` with the cause `lockfile_invalid`, where it cannot be read.
    """
    if not lock:
        return b""
    content = _read(lock)
    packages = content.get("packages")
    root = content.get("workspaces")
    kept = {key: content[key] for key in KEPT if isinstance(content.get(key), int)}
    kept["workspaces"] = {"": root.get("", {}) if isinstance(root, dict) else {}}
    kept["packages"] = {
        name: entry for name, entry in (packages.items() if isinstance(packages, dict) else ()) if _from_registry(entry)
    }
    return json.dumps(kept).encode()


def pins(lock: bytes) -> dict[str, str]:
    """What a lock pins: place in node_modules → the entry as JSON; {} of none, and of one that cannot be read.

    Bun leaves a lock as it was where it needs nothing else, so what was installed may be less."""
    with contextlib.suppress(SteadyError):
        packages = _read(lock).get("packages")
        return {name: json.dumps(entry) for name, entry in packages.items()} if isinstance(packages, dict) else {}
    return {}


def resolved(lock: bytes, name: str) -> str:
    """The exact version that a lock gives `name`, or ""."""
    match = re.match(rf'\["{re.escape(name)}@([^"]+)"', pins(lock).get(name, ""))
    return match[1] if match else ""


def asked(lock: bytes) -> list[str]:
    """The packages that a lock was made for, not those that they need in turn; [] of one that cannot be read."""
    with contextlib.suppress(SteadyError):
        match _read(lock).get("workspaces"):
            case {"": {"dependencies": dict(names)}}:
                return list(names)
    return []


def trusted_packages(lock: bytes, trusted: Collection[str]) -> list[Package]:
    """Those that a lock pins under a name of `trusted`, each after what it needs.

    The name is the registry's: another package that somebody calls `esbuild` is not esbuild."""
    entries = {place: json.loads(entry) for place, entry in pins(lock).items()} if trusted else {}
    found = {place: _pinned_name(entry) for place, entry in entries.items() if _pinned_name(entry) in trusted}
    graph = {place: list(_needed(place, entry, entries)) for place, entry in entries.items()} if found else {}
    ordered = [place for place in _needs_first(graph) if place in found]
    return [Package(found[place], folder) for place in ordered if (folder := _folder(place))]


def modules_key(wanted: Mapping[str, str], lock: bytes, bun_version: str, trusted: Collection[str] = ()) -> str:
    """The address of an installed tree: what was asked for, what it was resolved to, who installed it, and which of
    the packages ran scripts."""
    ran = sorted({package.name for package in trusted_packages(lock, trusted)})
    digest = hashlib.sha256(json.dumps([sorted(wanted.items()), bun_version, *([ran] if ran else [])]).encode())
    digest.update(lock)
    return digest.hexdigest()[:32] + (SCRIPTED if ran else "")


# Private


def _read(lock: bytes) -> dict[str, Any]:
    try:
        text = lock.decode()
        content = json.loads(SURPLUS_COMMA.sub(lambda match: match[1] or "", text), object_pairs_hook=_once)
        if isinstance(content, dict):
            return content
        problem, line = "it is no object", 1
    except json.JSONDecodeError as error:
        problem, line = error.msg, error.lineno
    except (ValueError, RecursionError) as error:
        problem, line = str(error) or "it is too deep", 1
    reason = f"{LOCK} cannot be read: {problem} (line {line}). Run “bun install” and deploy again, or leave it out."
    details = {"step": "install", "cause": "lockfile_invalid", "reason": reason, "file": LOCK, "line": line, "logs": []}
    raise SteadyError("deploy_failed", f"The dependencies were not installed: {reason}", details)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers could take another one of two equal keys."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def _from_registry(entry: object) -> bool:
    """`["hono@4.9.2", "", {…}, "sha512-…"]`: the second is where it comes from, "" for the registry."""
    match entry:
        case [str(pinned), "", dict(), str(integrity)]:
            return bool(PINNED.match(pinned) and HASH.match(integrity))
    return False


def _pinned_name(entry: object) -> str:
    match entry:
        case [str(pinned), *_]:
            return pinned.rpartition("@")[0]
    return ""


def _parts(place: str) -> list[str]:
    """`a/@scope/b` is b of @scope in a's own node_modules."""
    return re.findall(r"@[^/]*/[^/]*|[^/]+", place)


def _folder(place: str) -> str:
    """Below node_modules; "" of what no package can be called."""
    parts = _parts(place)
    return "/node_modules/".join(parts) if all(map(PACKAGE_NAME.match, parts)) else ""


def _needed(place: str, entry: object, places: Collection[str]) -> Iterator[str]:
    """Where the packages are that one needs: found as Node finds them, from its own node_modules outwards."""
    match entry:
        case [_, _, dict(described), *_]:
            groups = [described.get(group) for group in NEEDS]
            names = {name for group in groups if isinstance(group, dict) for name in group}
        case _:
            names = set()
    parts = _parts(place)
    for name in sorted(names):
        around = ("/".join([*parts[:depth], name]) for depth in range(len(parts), -1, -1))
        yield from [where for where in around if where in places][:1]


def _needs_first(graph: Mapping[str, Collection[str]]) -> list[str]:
    """All of `graph`, each after those that it leads to, as far as no circle forbids that."""
    ordered: dict[str, None] = {}
    entered: set[str] = set()
    ahead = sorted(graph, reverse=True)
    while ahead:
        place = ahead.pop()
        if place in entered:
            ordered[place] = None
            continue
        entered.add(place)
        ahead += [place, *(other for other in graph[place] if other not in entered)]
    return list(ordered)
