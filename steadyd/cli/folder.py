"""A folder, or a single source file, as the tree that a deploy sends: what goes, what stays behind, and why.

Left out are `.git`, `node_modules`, `.env*`, SQLite databases with their side files, and whatever `.gitignore` and
`.steadyignore` name (read as git reads them: per folder, the last match wins, and `.steadyignore` speaks after
`.gitignore`, so that `!dist` there ships what git ignores). Databases go along when that is asked for.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pathspec

from steadyd.cli.seed import seed
from steadyd.errors import SteadyError
from steadyd.model import RESERVED_NAMES
from steadyd.tree import (
    ENTRY_SUFFIXES,
    NO_LIMITS,
    PATH_DEPTH_MAX,
    SQLITE_HEADER,
    Tree,
    check_tree,
    holds_database,
)

IGNORE_FILES = (".gitignore", ".steadyignore")
IGNORE_BYTES_MAX = 1 << 20
FILES_MAX = 50_000
BYTES_MAX = 256 << 20
"""What no server unpacks, whatever its own limits (web/archive.py); within it the server says what is too much."""
NEVER_SHIPPED = {".git": "version control", "node_modules": "installed from package.json"}
SQLITE_SIDES = ("-wal", "-shm", "-journal")
NAME_CHARACTERS_MIN = 3
NAME_CHARACTERS_MAX = 40


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that stays behind: a path relative to the folder (a folder ends in `/`) and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What to deploy. `name` is the folder's (or file's) name made to fit the rules for app names."""

    name: str
    tree: Tree
    left_out: tuple[LeftOut, ...]
    seeds: tuple[str, ...] = ()
    """The databases in the tree."""


def collect(path: Path, with_data: bool = False) -> Collected:
    """Read the folder or source file at `path`; `with_data` takes databases too, unless `.steadyignore` names them.

    Raises:
        SteadyError: `not_found`, `invalid_path`, `too_large` or `no_entry`, naming the offending item.
    """
    if path.is_dir():
        walk = _Walk(os.path.realpath(path), with_data)
        walk.folder("", ())
        left_out = tuple(sorted(walk.left_out, key=lambda out: out.path))
        return Collected(name_for(path), check_tree(walk.tree, NO_LIMITS), left_out, tuple(walk.seeds))
    if not path.is_file():
        raise SteadyError("not_found", f"{path} is neither a folder nor a file")
    if path.suffix not in ENTRY_SUFFIXES:
        raise SteadyError("no_entry", f"{path} is not a folder, nor a source file ({', '.join(ENTRY_SUFFIXES)})")
    tree = {entry_name(path): _read(path, path.name)}
    return Collected(name_for(path), check_tree(tree, NO_LIMITS), ())


def entry_name(path: Path) -> str:
    """What a single source file is called in its version: `index` with the suffix that keeps its meaning."""
    return "index" + {".mts": ".ts", ".cts": ".ts", ".cjs": ".js"}.get(path.suffix, path.suffix)


def name_for(path: Path) -> str:
    """An allowed app name for a folder, or for a single source file (an `index.ts` is named like its folder)."""
    full = Path(os.path.realpath(path))
    if full.is_dir():
        return fit_name(full.name)
    return fit_name(full.parent.name if full.stem == "index" else full.stem)


def fit_name(text: str) -> str:
    """`text` made to fit the rules for app names: `My Shop (2)` → `my-shop-2`, `api` → `api-app`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    name = re.sub(r"^[0-9-]+", "", name)[:NAME_CHARACTERS_MAX].strip("-")
    if not name:
        return "my-app"
    return f"{name}-app" if len(name) < NAME_CHARACTERS_MIN or name in RESERVED_NAMES else name


def is_database(path: str) -> bool:
    """True for a SQLite file, known by its first bytes (or by its name while it is empty), and for its side files."""
    for name in (path, *(path.removesuffix(side) for side in SQLITE_SIDES if path.endswith(side))):
        try:
            with open(name, "rb") as file:
                head = file.read(len(SQLITE_HEADER))
        except OSError:
            continue
        if holds_database(name, head):
            return True
    return False


def ignored_in(root: str) -> Callable[[str], bool]:
    """The question whether the ignore files in `root` name a path (relative to it) or a folder above it."""

    def is_ignored(inside: str) -> bool:
        parts = inside.split("/")
        rules: tuple[_Rules, ...] = ()
        for depth, part in enumerate(parts):
            folder = "".join(f"{above}/" for above in parts[:depth])
            rules = (*rules, *_read_rules(os.path.join(root, folder), folder))
            if _ignored(rules, folder + part, depth < len(parts) - 1):
                return True
        return False

    return is_ignored


# Private


@dataclass(slots=True)
class _Walk:
    """One pass over a folder. `tree`, `left_out` and `seeds` grow as it goes."""

    root: str
    with_data: bool
    tree: dict[str, bytes] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)
    bytes_total: int = 0

    def folder(self, inside: str, rules: tuple[_Rules, ...]) -> None:
        """Take the folder at `inside` ("" or a path ending in `/`), under the ignore rules of those above it."""
        if inside.count("/") > PATH_DEPTH_MAX:
            raise SteadyError("invalid_path", f"“{inside}” is deeper than {PATH_DEPTH_MAX} folders", {"path": inside})
        here = os.path.join(self.root, inside)
        rules = (*rules, *_read_rules(here, inside))
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            path = inside + entry.name
            is_folder = entry.is_dir()
            reason = _never(entry.name) or _ignored(rules, path, is_folder)
            if reason and not self._is_seed_that_git_ignores(path, reason):
                self.left_out.append(LeftOut(path + "/" if is_folder else path, reason))
                continue
            if entry.is_symlink():
                self._check_link(path, rules)
            if is_folder:
                self.folder(path + "/", rules)
            elif entry.is_file():
                self._file(path)
            else:
                self.left_out.append(LeftOut(path, _kind(entry.stat(follow_symlinks=False).st_mode)))

    def _is_seed_that_git_ignores(self, path: str, reason: str) -> bool:
        """Data is commonly named in .gitignore: that says nothing against shipping it when it is asked for."""
        return self.with_data and reason.endswith(".gitignore") and is_database(os.path.join(self.root, path))

    def _file(self, path: str) -> None:
        full = os.path.join(self.root, path)
        if is_database(full):
            self._database(full, path)
        else:
            self._take(path, _read(Path(full), path))

    def _database(self, full: str, path: str) -> None:
        if not self.with_data or not os.path.getsize(full):
            self.left_out.append(LeftOut(path, "a SQLite database: data, not code"))
        elif path.endswith(SQLITE_SIDES):
            self.left_out.append(LeftOut(path, "what it holds goes with its database"))
        else:
            _check_size(path, os.path.getsize(full))
            self.seeds.append(path)
            self._take(path, seed(full, path))

    def _take(self, path: str, content: bytes) -> None:
        # macOS hands out decomposed accents; a version's paths are composed, so that one name is one file.
        shipped = unicodedata.normalize("NFC", path)
        self.bytes_total += len(content)
        self.tree[shipped] = content
        if len(self.tree) > FILES_MAX:
            raise SteadyError(
                "too_large", f"more than {FILES_MAX} files (“{path}” is one too many); name folders in .steadyignore"
            )
        if self.bytes_total > BYTES_MAX:
            raise SteadyError(
                "too_large", f"the files are larger than {BYTES_MAX >> 20} MiB together (reached at “{path}”)"
            )

    def _check_link(self, path: str, rules: tuple[_Rules, ...]) -> None:
        """Follow a link only to something in the folder that would be shipped under its own name too.

        Raises:
            SteadyError: `invalid_path`, naming the link and where it leads.
        """
        target = os.path.realpath(os.path.join(self.root, path))
        inside = os.path.relpath(target, self.root)
        problem = ""
        if not os.path.exists(target):
            problem = "nothing is there"
        elif inside == ".." or inside.startswith("../"):
            problem = "outside the folder"
        elif inside == "." or (path + "/").startswith(inside + "/"):
            problem = "a folder that it lies in itself"
        elif any(_never(part) for part in inside.split("/")) or _ignored(rules, inside, os.path.isdir(target)):
            problem = "left out of a deploy"
        if problem:
            said = f"“{path}” is a link to {os.readlink(os.path.join(self.root, path))}: {problem}"
            raise SteadyError("invalid_path", said, {"path": path})


@dataclass(frozen=True, slots=True)
class _Rules:
    """One ignore file: what it says is about paths below `folder` ("" or ending in `/`)."""

    file: str
    folder: str
    spec: pathspec.GitIgnoreSpec


def _read_rules(here: str, inside: str) -> Iterator[_Rules]:
    for name in IGNORE_FILES:
        try:
            with open(os.path.join(here, name), encoding="utf-8", errors="replace") as file:
                lines = file.read(IGNORE_BYTES_MAX).splitlines()
        except OSError:
            continue
        yield _Rules(inside + name, inside, pathspec.GitIgnoreSpec.from_lines(lines))


def _ignored(rules: tuple[_Rules, ...], path: str, is_folder: bool) -> str:
    """The ignore file that leaves `path` out, or ""."""
    verdict = ""
    for rule in rules:
        if path.startswith(rule.folder):
            below = path[len(rule.folder) :] + ("/" if is_folder else "")
            include = rule.spec.check_file(below).include
            if include is not None:
                verdict = f"named in {rule.file}" if include else ""
    return verdict


def _never(name: str) -> str:
    if name.startswith(".env"):
        return "may hold secrets"
    return NEVER_SHIPPED.get(name, "")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "not a file")


def _read(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise SteadyError("invalid_path", f"cannot read “{shown}”: {error.strerror}", {"path": shown}) from None
    _check_size(shown, len(content))
    return content


def _check_size(shown: str, size: int) -> None:
    if size > BYTES_MAX:
        said = f"“{shown}” is larger than {BYTES_MAX >> 20} MiB; name it in .steadyignore to leave it out"
        raise SteadyError("too_large", said, {"path": shown, "limit_bytes": BYTES_MAX})
