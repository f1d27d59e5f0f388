"""What package.json asks for, as far as it comes from the registry. No I/O."""

from __future__ import annotations

import re

from steadyd.errors import SteadyError
from steadyd.tree import Tree, read_package

DEPENDENCIES_MAX = 500
NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*"
PACKAGE_NAME = re.compile(rf"{NAME}\Z")
SPEC = re.compile(rf"(?!\.)(?:npm:{NAME}(?:@|\Z))?[\w.*+^~<>=|\- ]*\Z", re.ASCII)
"""A range, a tag or another name in the registry: never a path, an address, or a place such as `user/repository`."""


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
        reason = f"{len(wanted)} dependencies; an app may have {DEPENDENCIES_MAX}."
        raise SteadyError("too_large", reason, {"file": "package.json", "cause": "too_large", "reason": reason})
    return wanted


def trusted_dependencies(tree: Tree) -> tuple[str, ...]:
    """The packages whose lifecycle scripts may run. Bun has a list of its own, which counts for nothing here.

    Raises:
        SteadyError: `invalid` where it is no list of packages.
    """
    named = read_package(tree).get("trustedDependencies", [])
    if not isinstance(named, list) or not all(isinstance(name, str) and PACKAGE_NAME.match(name) for name in named):
        message = "“trustedDependencies” in package.json must be a list of names of packages."
        raise SteadyError("invalid", message, {"file": "package.json"})
    return tuple(sorted(set(named)))
