"""What a version's own file says of how to run it: the `steady` key of package.json, or steady.json. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from steadyd.crontab import read_crons
from steadyd.errors import SteadyError
from steadyd.model import Choices, Cron, Kind
from steadyd.settings import Policy, change
from steadyd.tree import Tree, read_package

PACKAGE = "package.json"
OWN_FILE = "steady.json"
SETTINGS = ("memory", "cpus", "processes", "disk", "idle", "network", "trial", "auto_rollback")
"""What a file may set. Whom to notify, and who sees the source, is the owner's to say: the file travels with every copy
of the app."""
CRONS = "crons"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What it asks for; `notes` are sentences for the user."""

    choices: Choices = Choices()
    notes: tuple[str, ...] = ()
    crons: tuple[Cron, ...] = ()


def read_manifest(tree: Tree, policy: Policy, owner: Kind) -> Manifest:
    """What `tree` asks for, if this host allows it.

    Raises:
        SteadyError: `deploy_failed` at step `check`, with `details` {file, field, line}.
    """
    file, said = _said(tree)
    if not isinstance(said, dict):
        raise _failed(tree, file, "", f"{_place(file, '')} must be an object.")
    choices = Choices()
    for key in SETTINGS:
        if said.get(key) is not None:
            try:
                choices = change(choices, {key: said[key]})
                policy.check(change(Choices(), {key: said[key]}), owner)
            except SteadyError as error:
                place = str(error.details.get("field") or key)
                raise _failed(tree, file, place, f"{file}: {error.message}", error.details) from None
    unknown = [key for key in said if key not in (*SETTINGS, CRONS)]
    notes = tuple(f"Nothing reads {_place(file, key[:60])}; it is ignored." for key in unknown)
    return Manifest(choices, notes, _crons(tree, file, said.get(CRONS)))


# Private


def _crons(tree: Tree, file: str, said: object) -> tuple[Cron, ...]:
    try:
        return read_crons(said) if said is not None else ()
    except SteadyError as error:
        raise _failed(tree, file, CRONS, f"{_place(file, CRONS)}: {error.message}") from None


def _said(tree: Tree) -> tuple[str, object]:
    """The file that says something, and what."""
    package = read_package(tree)
    if OWN_FILE not in tree:
        return PACKAGE, package.get("steady", {})
    if "steady" in package:
        raise _failed(tree, OWN_FILE, "", f"Both {OWN_FILE} and “steady” in {PACKAGE} are there. Keep one of them.")
    try:
        return OWN_FILE, json.loads(tree[OWN_FILE])
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise _failed(tree, OWN_FILE, "", f"{OWN_FILE} is not JSON: {error}", {"line": line}) from None


def _place(file: str, key: str) -> str:
    if file == OWN_FILE:
        return f"“{key}” in {OWN_FILE}" if key else OWN_FILE
    return f"“steady.{key}” in {PACKAGE}" if key else f"“steady” in {PACKAGE}"


def _failed(tree: Tree, file: str, key: str, reason: str, details: Mapping[str, object] | None = None) -> SteadyError:
    found = {**(details or {}), "step": "check", "reason": reason, "file": file}
    if key:
        found |= {"field": key if file == OWN_FILE else f"steady.{key}", "line": _line_of(tree, file, key)}
    return SteadyError("deploy_failed", reason, {name: value for name, value in found.items() if value is not None})


def _line_of(tree: Tree, file: str, key: str) -> int | None:
    """Where the key stands: its first mention after that of `steady`, and of each key that it lies in."""
    text, found = tree[file], 0
    for name in (["steady"] if file == PACKAGE else []) + key.split("."):
        found = text.find(f'"{name}"'.encode(), max(found, 0))
    return text.count(b"\n", 0, found) + 1 if found >= 0 else None
