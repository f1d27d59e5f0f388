"""What a server has live of an app, and what a deploy of a tree would change of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steadyd.cli.terminal import note
from steadyd.model import File
from steadyd.patch import Change, compare

if TYPE_CHECKING:
    from steadyd.cli.client import Client
    from steadyd.tree import Tree

LETTERS = {"added": "A", "modified": "M", "deleted": "D"}
LOCK = "bun.lock"
CHANGES_SHOWN = 20
UNSETTLED = ("failed", "held", "deleted", "suspended")
"""States that a deploy of the same files may end, or in which the server should say what it thinks of one."""


@dataclass(frozen=True, slots=True)
class Live:
    """The live version. `app` is what the API shows of the app."""

    app: dict[str, Any]
    number: int
    files: tuple[File, ...]

    @property
    def is_settled(self) -> bool:
        return self.app.get("state") not in UNSETTLED

    def changes(self, tree: Tree) -> list[Change]:
        """How `tree` differs. A lock that only the server has is its own doing, and stays."""
        ours = [File(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in tree.items()]
        return compare([file for file in self.files if file.path != LOCK or LOCK in tree], ours)


def find_live(client: Client, name: str) -> Live | None:
    """What is live, or None: no such app of ours yet, or none that we are told of."""
    from steadyd.cli.client import Refused, app_path

    if not client.has_token(name):
        return None
    try:
        app = client.call("GET", app_path(name), app=name).get("app")
        number = app.get("version") if isinstance(app, dict) else None
        if not isinstance(app, dict) or not isinstance(number, int) or number < 1:
            return None
        listed = client.call("GET", app_path(name, f"/versions/{number}/files"), app=name).get("files")
        files = tuple(File(str(one["path"]), str(one["sha256"]), int(one["size"])) for one in listed or ())
    except (Refused, KeyError, TypeError, ValueError):
        return None
    return Live(app, number, files)


def say_what_changes(live: Live | None, tree: Tree) -> None:
    """A line for each file that differs from the live version, and a summary."""
    if live is None:
        return
    changes = live.changes(tree)
    for change in changes[:CHANGES_SHOWN]:
        note(f"  {LETTERS[change.status]}  {change.path}")
    if len(changes) > CHANGES_SHOWN:
        note(f"  and {len(changes) - CHANGES_SHOWN} more")
    if changes:
        counts = {status: sum(change.status == status for change in changes) for status in LETTERS}
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        note(f"Since version {live.number}: {said}")
