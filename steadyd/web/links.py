"""Links in an archive: each becomes a copy of what it leads to, which must be shipped in the same archive. No I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping

from steadyd.errors import SteadyError

LINK_CHAIN_MAX = 8
"""Links that lead to links."""


def target(path: str, said: str, from_top: bool) -> str:
    """Where the link at `path` leads, as a path from the archive's own folder, which is "". What it says is relative to
    where it lies, or (`from_top`, a hard link) to that folder.

    Raises:
        SteadyError: `invalid_path`, naming the link, if it leads out.
    """
    found = posixpath.normpath(said if from_top else posixpath.join(posixpath.dirname(path), said))
    if not said or said.startswith("/") or "\0" in said or found == ".." or found.startswith("../"):
        raise _refused(path, "it leads out of the archive's own folder")
    return "" if found == "." else found


def end(path: str, links: Mapping[str, str]) -> str:
    """Where the link leads at last. `links` are all there are, and their targets.

    Raises:
        SteadyError: `invalid_path`, if it leads round in a circle, or over too many others.
    """
    at = links[path]
    for _ in range(LINK_CHAIN_MAX):
        if at not in links:
            return at
        at = links[at]
    raise _refused(path, f"it leads over more than {LINK_CHAIN_MAX} others")


def copies(path: str, at: str, files: Collection[str], folders: Collection[str]) -> dict[str, str]:
    """What to ship in a link's place, if it leads to `at`: path → the file that it is a copy of.

    `folders` are the links that lead to folders.

    Raises:
        SteadyError: `invalid_path`, if nothing of `files` lies there, or a folder with such links in it.
    """
    if at in files:
        return {path: at}
    folder = f"{at}/" if at else ""
    if any(link.startswith(folder) for link in folders):
        raise _refused(path, "in the folder to which it leads there is a link to a folder")
    found = {f"{path}/{file.removeprefix(folder)}": file for file in files if file.startswith(folder)}
    if not found:
        raise _refused(path, f"nothing is shipped at “{at[:200]}”, where it leads")
    return found


# Private


def _refused(path: str, problem: str) -> SteadyError:
    shown = path[:200].encode("utf-8", "replace").decode()
    said = f"“{shown}” is a link, and {problem}.".encode("utf-8", "replace").decode()
    return SteadyError("invalid_path", said, {"path": shown})
