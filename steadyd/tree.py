"""A tree of files as a user sends it: which paths are allowed, how much, and where the app starts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steadyd.errors import SteadyError
from steadyd.quantity import written_size

FILES_MAX = 1_000
FILE_BYTES_MAX = 10 << 20
TREE_BYTES_MAX = 100 << 20
PATH_BYTES_MAX = 512
PATH_PART_BYTES_MAX = 255
PATH_DEPTH_MAX = 32

ENTRIES = ("index.ts", "index.tsx", "index.js", "index.mjs", "index.jsx")
ENTRY_SUFFIXES = (".ts", ".tsx", ".js", ".mjs", ".jsx", ".mts", ".cjs", ".cts")
STATIC_INDEX = "index.html"
SQLITE_HEADER = b"SQLite format 3\0"
EMPTY_DATABASES = (".sqlite", ".sqlite3", ".db")
"""How an empty file is called that SQLite made when it opened a database, and would have written later."""

Tree = Mapping[str, bytes]
"""Relative path → content."""


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """How much one version may ship, as `steadyd serve` was told; 0 is no limit.

    Raises:
        SteadyError: from each method, `too_large`, naming the limit and the option that sets it.
    """

    files: int = FILES_MAX
    file_bytes: int = FILE_BYTES_MAX
    app_bytes: int = TREE_BYTES_MAX

    def check_files(self, count: int) -> None:
        if 0 < self.files < count:
            limit = {"limit": self.files, "option": "--files"}
            raise SteadyError("too_large", f"More than {self.files} files, this server's --files.", limit)

    def check_file(self, path: str, size: int) -> None:
        if 0 < self.file_bytes < size:
            shown, most = path[:200], written_size(self.file_bytes)
            limit = {"path": shown, "limit_bytes": self.file_bytes, "option": "--file-size"}
            raise SteadyError("too_large", f"“{shown}” is larger than {most}, this server's --file-size.", limit)

    def check_total(self, size: int) -> None:
        if 0 < self.app_bytes < size:
            most, limit = written_size(self.app_bytes), {"limit_bytes": self.app_bytes, "option": "--app-size"}
            raise SteadyError(
                "too_large", f"The files are larger than {most} together, this server's --app-size.", limit
            )


DEFAULT_LIMITS = TreeLimits()
NO_LIMITS = TreeLimits(0, 0, 0)
"""Where a server will have the last word."""


def check_path(path: str) -> str:
    """Return `path` if a version may ship a file there: relative, normalised, inside the folder.

    Raises:
        SteadyError: `invalid_path`, naming the path and the rule.
    """
    parts = path.split("/")
    problem = ""
    if not path or path.endswith("/"):
        problem = "it names no file"
    elif path.startswith("/") or "\\" in path:
        problem = "it must be relative, with forward slashes"
    elif any(part in ("", ".", "..") for part in parts):
        problem = "it has an empty, “.” or “..” part"
    elif any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in path):
        problem = "it has a control character or a broken one"
    elif len(path.encode()) > PATH_BYTES_MAX or any(len(p.encode()) > PATH_PART_BYTES_MAX for p in parts):
        problem = f"it is longer than {PATH_BYTES_MAX} bytes, or a part of it than {PATH_PART_BYTES_MAX}"
    elif len(parts) > PATH_DEPTH_MAX:
        problem = f"it is deeper than {PATH_DEPTH_MAX} folders"
    elif parts[0] == "node_modules":
        problem = "node_modules is installed from package.json, not shipped"
    elif unicodedata.normalize("NFC", path) != path:
        problem = "its accents are not in composed form (Unicode NFC), so two spellings would name one file"
    if problem:
        shown = path[:200].encode("utf-8", "replace").decode()
        raise SteadyError("invalid_path", f"“{shown}” cannot be a file's path: {problem}.", {"path": shown})
    return path


def holds_database(path: str, head: bytes | bytearray) -> bool:
    """Whether a file that begins with `head` (of 16 bytes, if it has them) is a SQLite database: an app must be able to
    write it, so it is never a file of a version."""
    return head.startswith(SQLITE_HEADER) or (not head and path.endswith(EMPTY_DATABASES))


def check_tree(tree: Tree, limits: TreeLimits = DEFAULT_LIMITS) -> Tree:
    """Return `tree` if it may become a version.

    Raises:
        SteadyError: `invalid_path`, `too_large` or `no_entry`, naming the offending item.
    """
    limits.check_files(len(tree))
    for path, content in tree.items():
        check_path(path)
        limits.check_file(path, len(content))
    limits.check_total(sum(map(len, tree.values())))
    check_collisions(tree)
    find_entry(tree)
    return tree


def find_entry(tree: Tree) -> str:
    """The path of the file that Bun runs, or "" for a static site.

    Raises:
        SteadyError: `no_entry` if there is nothing to run or show; `invalid` for a broken package.json.
    """
    for entry in ENTRIES:
        if entry in tree:
            return entry
    package = read_package(tree)
    for key in ("module", "main"):
        value = package.get(key)
        if isinstance(value, str) and (path := _named(tree, value)):
            return path
    if STATIC_INDEX in tree:
        return ""
    raise SteadyError(
        "no_entry",
        f"Nothing to run: add index.ts (or one of {', '.join(ENTRIES[1:])}), or index.html for a static site.",
    )


def read_package(tree: Tree) -> dict[str, object]:
    """package.json as an object; {} where there is none.

    Raises:
        SteadyError: `invalid` if it is not a JSON object.
    """
    if "package.json" not in tree:
        return {}
    try:
        package = json.loads(tree["package.json"])
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise SteadyError(
            "invalid", f"package.json is not JSON: {error}", {"file": "package.json", "line": line}
        ) from None
    if not isinstance(package, dict):
        raise SteadyError("invalid", "package.json must hold an object.", {"file": "package.json"})
    return package


# Private


def _named(tree: Tree, said: str) -> str:
    """The program that `main` or `module` names as Bun and Node understand it: a file, one without its suffix, or a
    folder with an index; "" if there is none."""
    path = said.removeprefix("./").rstrip("/")
    if not path:
        return ""
    guesses = (path, *(path + suffix for suffix in ENTRY_SUFFIXES), *(f"{path}/{entry}" for entry in ENTRIES))
    return next((guess for guess in guesses if guess in tree and guess.endswith(ENTRY_SUFFIXES)), "")


def check_collisions(paths: Iterable[str]) -> None:
    """Refuse `a` beside `a/b`, and names that differ only in case: no folder can hold both everywhere."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folded = path.casefold()
        if folded in seen:
            twins = {"path": path, "other": seen[folded]}
            raise SteadyError("invalid_path", f"“{path}” and “{seen[folded]}” differ only in case.", twins)
        seen[folded] = path
        while "/" in folded:
            folded = folded.rpartition("/")[0]
            folders[folded] = path
    for folded, path in folders.items():
        if folded in seen:
            said = f"“{seen[folded]}” is a file, and “{path}” needs it as a folder."
            raise SteadyError("invalid_path", said, {"path": path, "other": seen[folded]})
