"""A tar, tar.gz or zip as a tree. What it unpacks to is bounded while it is read, never afterwards.

A link becomes a copy of what it leads to in the same archive. Refused by kind: links that lead out of it or to nothing,
devices, pipes, sparse files, encrypted entries, paths that leave the folder, and anything twice. What a deploy leaves
out (design section 5) is skipped before it is judged, because node_modules is full of links.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

import pathspec

from steadyd.errors import SteadyError
from steadyd.tar import HARD, PIECE_BYTES, SYMBOLIC, Member, members
from steadyd.tree import (
    DEFAULT_LIMITS,
    PATH_BYTES_MAX,
    SQLITE_HEADER,
    TreeLimits,
    check_path,
    holds_database,
)
from steadyd.web import links

UNPACKED_BYTES_MAX = 256 << 20
"""Everything that is inflated, with what is then left out; and all files in it, whatever an app may ship."""
ENTRIES_MAX = 50_000
"""The same for their number, with what stands in the place of links."""
DIRECTORY_BYTES_MAX = 4 << 20
"""A zip's list of contents, which is read at once."""
LEFT_OUT_MAX = 200
"""Paths that are listed as left out; that there are more is said in a note."""

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
SQLITE_SIDES = ("-wal", "-shm", "-journal")
IGNORE_FILES = (".gitignore", ".steadyignore")
NEVER = {
    ".git": "version control",
    "node_modules": "installed from package.json",
    "__MACOSX": "macOS's own",
    ".DS_Store": "macOS's own",
}


@dataclass(slots=True)
class Unpacked:
    """A tree, and what stayed out of it: path → reason (a folder ends in `/`)."""

    files: dict[str, bytes] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    unlisted: bool = False
    """More was left out than `left_out` lists."""

    def leave_out(self, path: str, reason: str) -> None:
        if len(self.left_out) < LEFT_OUT_MAX:
            self.left_out[path] = reason
        elif path not in self.left_out:
            self.unlisted = True


def is_archive(head: bytes) -> bool:
    """Whether a body with these first bytes is an archive, whatever its content type says."""
    return head.startswith((GZIP_MAGIC, *ZIP_MAGICS))


def unpack(file: BinaryIO, with_data: bool = False, limits: TreeLimits = DEFAULT_LIMITS) -> Unpacked:
    """Read a whole archive from the start of `file`, `with_data`: its databases too. Blocking: run it in a thread.

    Raises:
        SteadyError: `invalid_archive`, `invalid_path` or `too_large`, naming the offending entry.
    """
    head = file.read(4)
    file.seek(0)
    tally = _Tally(with_data, limits)
    try:
        if head.startswith(ZIP_MAGICS):
            return _strip(_unzip(file, tally))
        if head.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file, mode="rb") as inflated:
                return _strip(_untar(inflated.read, tally))
        return _strip(_untar(file.read, tally))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as no:
        said = " ".join(str(no).split())[:200] or "it ends early"
        raise SteadyError(
            "invalid_archive", f"The archive cannot be read as tar, tar.gz or zip: {said}."
        ) from None  # fmt: skip


# Private


class _Modest:
    """A file that refuses to give more than DIRECTORY_BYTES_MAX at once: zipfile reads a zip's directory whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, count: int = -1) -> bytes:
        piece = (
            self._file.read(count) if 0 <= count <= DIRECTORY_BYTES_MAX else self._file.read(DIRECTORY_BYTES_MAX + 1)
        )
        if len(piece) > DIRECTORY_BYTES_MAX:
            raise SteadyError("too_large", "The archive's list of contents is too large.")
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


class _Tally:
    """Files as they are taken, with every limit checked on the way."""

    def __init__(self, with_data: bool, limits: TreeLimits) -> None:
        self.unpacked = Unpacked()
        self._with_data = with_data
        self._limits = limits
        self._links: dict[str, str] = {}
        self._seen: set[str] = set()
        self._entries = 0
        self._kept = 0

    def admit(self, entry: Member) -> str:
        """The path to keep the entry's content under, or "" if it has none to keep."""
        self._entries += 1
        if self._entries > ENTRIES_MAX:
            raise _too_many()
        path = _inside(entry.path)
        if not path:
            return ""
        top, reason = _never(path)
        if reason:
            self.unpacked.leave_out(top, reason)
            return ""
        if entry.kind == "folder":
            return ""
        if entry.kind not in ("file", SYMBOLIC, HARD):
            said = f"“{path[:200]}” is {entry.kind}; an archive may hold files, folders and links only."
            raise SteadyError("invalid_archive", said, {"path": path[:200]})
        check_path(path)
        if path in self._seen:
            raise _twice(path)
        self._seen.add(path)
        self._limits.check_file(path, entry.size)
        return path

    def link(self, path: str, said: str, hard: bool) -> None:
        """Remember an admitted link, and where it says that it leads."""
        self._links[path] = links.target(path, said, hard)
        self._limits.check_files(len(self._links))

    def whole(self) -> Unpacked:
        """All of it, with copies in the links' places."""
        ends = {path: links.end(path, self._links) for path in self._links}
        folders = {path: at for path, at in ends.items() if at not in self.unpacked.files}
        # Those to files come first: a folder that another link leads to may hold them.
        for path, at in {**{path: at for path, at in ends.items() if path not in folders}, **folders}.items():
            if reason := self.unpacked.left_out.get(at) or _never(at)[1]:
                self.unpacked.leave_out(path, reason)
            else:
                self._copy(links.copies(path, at, self.unpacked.files, folders))
        return self.unpacked

    def _copy(self, copies: Mapping[str, str]) -> None:
        for path, source in copies.items():
            if path in self.unpacked.files:
                raise _twice(path)
            self.take(check_path(path), iter([self.unpacked.files[source]]))

    def take(self, path: str, pieces: Iterator[bytes]) -> None:
        """Read the content of an admitted entry."""
        content = bytearray()
        for piece in pieces:
            content += piece
            self._limits.check_file(path, len(content))
            self._limits.check_total(self._kept + len(content))
            if self._kept + len(content) > UNPACKED_BYTES_MAX:
                raise _bomb()
        if holds_database(path, content) and not (self._with_data and content):
            self.unpacked.leave_out(path, "a SQLite database: data, not code")
            return
        self._kept += len(content)
        self.unpacked.files[path] = bytes(content)
        self._limits.check_files(len(self.unpacked.files))
        if len(self.unpacked.files) > ENTRIES_MAX:
            raise _too_many()


def _untar(source: Callable[[int], bytes], tally: _Tally) -> Unpacked:
    given = 0

    def read(count: int) -> bytes:
        nonlocal given
        piece = source(count)
        given += len(piece)
        if given > UNPACKED_BYTES_MAX:
            raise _bomb()
        return piece

    for member, content in members(read):
        if not (path := tally.admit(member)):
            continue
        if member.kind in (SYMBOLIC, HARD):
            tally.link(path, member.target, member.kind == HARD)
        else:
            tally.take(path, content)
    return tally.whole()


def _unzip(source: BinaryIO, tally: _Tally) -> Unpacked:
    with zipfile.ZipFile(cast("IO[bytes]", _Modest(source))) as zipped:
        for info in zipped.infolist():
            kind = _zip_kind(info)
            path = tally.admit(Member(info.orig_filename.replace("\\", "/"), kind, info.file_size))
            if not path:
                continue
            with zipped.open(info) as content:
                if kind == SYMBOLIC:
                    tally.link(path, content.read(PATH_BYTES_MAX + 1).decode("utf-8", "surrogateescape"), False)
                else:
                    tally.take(path, _pieces(content))
    return tally.whole()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return SYMBOLIC
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or a pipe"
    if info.is_dir():
        return "folder"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed with a method other than deflate"
    return "file"


def _inside(path: str) -> str:
    """The entry's path without a leading `./` or a trailing `/`; "" for the folder itself."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\0" in path:
        shown = path[:200].encode("utf-8", "replace").decode()
        raise SteadyError("invalid_path", f"“{shown}” leaves the archive's own folder.", {"path": shown})
    return "/".join(part for index, part in enumerate(parts) if not _is_empty(part, index, len(parts)))


def _is_empty(part: str, index: int, count: int) -> bool:
    return (part == "." and index == 0) or (part == "" and index == count - 1)


def _never(path: str) -> tuple[str, str]:
    """The left-out path (the topmost left-out folder) and why, or two empty strings."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part.startswith(".env"):
            reason = "may hold secrets"
        elif part.startswith("._"):
            reason = "macOS's own"
        else:
            reason = NEVER.get(part, "")
        if reason:
            return "/".join(parts[: index + 1]) + ("/" if index < len(parts) - 1 else ""), reason
    return "", ""


def _strip(unpacked: Unpacked) -> Unpacked:
    """Lift a single top folder's content up, and leave out databases' side files and what ignore files name."""
    tops = {path.partition("/")[0] if "/" in path else "" for path in unpacked.files}
    if len(tops) == 1 and "" not in tops:
        cut = len(tops.pop()) + 1
        lifted = {(path[cut:] or path): reason for path, reason in unpacked.left_out.items()}
        files = {path[cut:]: content for path, content in unpacked.files.items()}
        unpacked = Unpacked(files, lifted, unpacked.unlisted)
    for path in list(unpacked.files):
        side = next((end for end in SQLITE_SIDES if path.endswith(end)), "")
        base = path.removesuffix(side)
        if side and (base in unpacked.left_out or unpacked.files.get(base, b"").startswith(SQLITE_HEADER)):
            unpacked.leave_out(path, "a SQLite database: data, not code")
            del unpacked.files[path]
    _ignore(unpacked)
    return unpacked


def _ignore(unpacked: Unpacked) -> None:
    """Leave out what .gitignore and .steadyignore name; the deeper file and the later line win, as in git."""
    order = {name: index for index, name in enumerate(IGNORE_FILES)}
    found = [path for path in unpacked.files if path.rpartition("/")[2] in order]
    found.sort(key=lambda path: (path.count("/"), path.rpartition("/")[0], order[path.rpartition("/")[2]]))
    rules = [(path, pathspec.GitIgnoreSpec.from_lines(_lines(unpacked.files[path]))) for path in found]
    for path in list(unpacked.files):
        verdict = ""
        for source, spec in rules:
            folder = source[: source.rfind("/") + 1]
            if path.startswith(folder) and (hit := spec.check_file(path[len(folder) :])).include is not None:
                verdict = f"named in {source}" if hit.include else ""
        # Data is commonly named in .gitignore, which says nothing against shipping it when it is asked for.
        if verdict and not (verdict.endswith(".gitignore") and unpacked.files[path].startswith(SQLITE_HEADER)):
            unpacked.leave_out(path, verdict)
            del unpacked.files[path]


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


def _bomb() -> SteadyError:
    limit = {"limit_bytes": UNPACKED_BYTES_MAX}
    return SteadyError("too_large", f"The archive unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB.", limit)


def _too_many() -> SteadyError:
    return SteadyError("too_large", f"The archive has more than {ENTRIES_MAX} entries.", {"limit": ENTRIES_MAX})


def _twice(path: str) -> SteadyError:
    return SteadyError("invalid_archive", f"“{path}” is in the archive twice.", {"path": path})
