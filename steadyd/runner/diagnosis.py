"""Why dependencies were not installed: what Bun and the registry's door said, as one stable cause and one sentence
that says where and what to do. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steadyd.errors import SteadyError
from steadyd.tree import ENTRY_SUFFIXES, Tree

MISSING = re.compile(r"error: GET https://[^/ ]+/(\S+) - 404")
NO_VERSION = re.compile(r'error: No version matching "([^"]*)" found for specifier "([^"]+)"')
NO_TAG = re.compile(r'error: Package "([^"]+)" with tag "([^"]*)" not found')
INTEGRITY = re.compile(r"error: Integrity check failed for tarball: (\S+)")
UNREACHED = re.compile(r"error: (\w+) downloading (?:package manifest|tarball) (\S+)")
STILL_RUN = "Versions that are installed already still run, and can be gone back to."


@dataclass(frozen=True, slots=True)
class Said:
    """What an installation left behind. `trouble` is the door's, as cause and sentence; `nearest` are versions of
    the registry near to the one that it does not have."""

    lines: Sequence[str]
    ended: str
    trouble: tuple[str, str] = ("", "")
    timed_out_seconds: float = 0.0
    nearest: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    cause: str
    """package_not_found, version_not_found, registry_away, integrity_failed, script_failed, too_large, timeout or
    install_failed."""
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_error(self, lines: Sequence[str]) -> SteadyError:
        """The `deploy_failed` error of the contract."""
        details = {"step": "install", "cause": self.cause, "reason": self.reason, **self.details, "logs": list(lines)}
        return SteadyError("deploy_failed", f"The dependencies were not installed: {self.reason}", details)


def diagnose(said: Said, tree: Tree) -> Diagnosis:
    """The likeliest cause, the plainest first."""
    cause, sentence = said.trouble
    if cause:
        return Diagnosis(cause, f"{sentence} {STILL_RUN}" if cause == "registry_away" else sentence)
    if said.timed_out_seconds:
        return Diagnosis("timeout", f"bun install did not end within {said.timed_out_seconds:g} s. {STILL_RUN}")
    for line in said.lines:
        if match := MISSING.match(line):
            name = match[1].replace("%2f", "/")
            reason = f"“{name}” is not in the registry{_named(tree, name)}. Check the name."
            return Diagnosis("package_not_found", reason, {"package": name, **_where(tree, name)})
        if match := NO_VERSION.match(line):
            return _no_version(match[2], match[1], said.nearest, tree)
        if match := NO_TAG.match(line):
            return _no_version(match[1], match[2], said.nearest, tree)
        if match := INTEGRITY.match(line):
            name = match[1]
            reason = (
                f"what the registry sent as “{name}” is not what bun.lock pins. If you trust it, remove that line of "
                "bun.lock and deploy again."
            )
            return Diagnosis("integrity_failed", reason, {"package": name, **_where(tree, name)})
        if match := UNREACHED.match(line):
            return Diagnosis("registry_away", f"the registry did not answer for “{match[2]}” ({match[1]}). {STILL_RUN}")
    told = [line.removeprefix("error: ") for line in said.lines if line.startswith("error")]
    return Diagnosis("install_failed", told[0] if told else f"bun install ended with {said.ended}.")


def diagnose_script(package: str, said: Said) -> Diagnosis:
    """Why a script of a package that the app trusts did not succeed."""
    if said.timed_out_seconds:
        reason = f"the scripts of “{package}” did not end in time: all together have {said.timed_out_seconds:g} s."
        return Diagnosis("timeout", reason, {"package": package})
    reason = (
        f"a script of “{package}” ended with {said.ended}. It runs because package.json lists it in "
        "“trustedDependencies”; it reaches the package registry, and nothing else of the network."
    )
    return Diagnosis("script_failed", reason, {"package": package})


def find(tree: Tree, name: str) -> tuple[str, int]:
    """File and line where a package is listed, else where it is imported; ("", 0) for one that only others need."""
    listed = re.compile(rb'"' + re.escape(name.encode()) + rb'"\s*:')
    imported = re.compile(rb"""(?:from|import|require)\s*\(?\s*["']""" + re.escape(name.encode()) + rb"""["'/]""")
    sources = sorted(path for path in tree if path.endswith(ENTRY_SUFFIXES))
    for path, pattern in (("package.json", listed), *((path, imported) for path in sources)):
        if match := pattern.search(tree.get(path, b"")):
            return path, tree[path].count(b"\n", 0, match.start()) + 1
    return "", 0


# Private


def _no_version(name: str, wanted: str, nearest: Sequence[str], tree: Tree) -> Diagnosis:
    near = f" It has {', '.join(nearest)}." if nearest else ""
    reason = f"“{name}” has no version {wanted}{_named(tree, name)}.{near}"
    more = {"nearest": list(nearest)} if nearest else {}
    return Diagnosis("version_not_found", reason, {"package": name, "version": wanted, **more, **_where(tree, name)})


def _where(tree: Tree, name: str) -> dict[str, Any]:
    path, line = find(tree, name)
    return {"file": path, "line": line} if path else {}


def _named(tree: Tree, name: str) -> str:
    path, line = find(tree, name)
    if not path:
        return ", and one of the dependencies needs it"
    return f" ({'listed' if path == 'package.json' else 'imported'} in {path}:{line})"
