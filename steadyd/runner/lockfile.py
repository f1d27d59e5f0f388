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
from collections.abc import Mapping
from typing import Any

from steadyd.errors import SteadyError
from steadyd.runner.dependencies import NAME

LOCK = "bun.lock"
PINNED = re.compile(rf"{NAME}@\d[\w.+-]*\Z", re.ASCII)
HASH = re.compile(r"(?:sha512-[A-Za-z0-9+/]{86}==|sha1-[A-Za-z0-9+/]{27}=)\Z")
"""Whole, because Bun takes one of another length for none."""
SURPLUS_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
KEPT = ("lockfileVersion", "configVersion")


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


def modules_key(wanted: Mapping[str, str], lock: bytes, bun_version: str) -> str:
    """The address of an installed tree: what was asked for, what it was resolved to, and who installed it."""
    digest = hashlib.sha256(json.dumps([sorted(wanted.items()), bun_version]).encode())
    digest.update(lock)
    return digest.hexdigest()[:32]


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
