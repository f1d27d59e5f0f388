"""An app as one file, NAME.steady: a tar.gz whose first entry says what the others are, and in which order.

    manifest.json       the app, its kept versions, its settings, what else is in the file
    contents/SHA256     the versions' files, each content once, by address
    data/PATH           its databases and the other files that it wrote, by path

What comes after the manifest is exactly what it lists, by size and SHA-256. So whoever reads one needs no rule for
links, devices, duplicates or bombs: an entry is the expected one, or the file is refused. A tar.gz, because it is
written and read in one pass, in constant memory, and opened everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from msgspec import Meta, Struct

from steadyd.errors import SteadyError
from steadyd.model import check_name
from steadyd.tar import Content, Member, members
from steadyd.tree import TreeLimits, check_collisions, check_path
from steadyd.variables import NAMES_MAX

TYPE = "application/vnd.steady.app"
"""What a request says that carries one."""
SUFFIX = ".steady"
GZIP_MAGIC = b"\x1f\x8b"
MANIFEST, CONTENTS, DATA = "manifest.json", "contents/", "data/"
FORMAT: Literal[1] = 1

MANIFEST_BYTES_MAX = 16 << 20
VERSIONS_MAX = 500
CONTENT_BYTES_MAX = 1 << 30
"""Of all versions together."""
DATA_BYTES_MAX = 1 << 30
DATA_FILES_MAX = 100_000
DATA_PATH_BYTES_MAX = 1_024
"""As many as fit below any app's folder (path_resolution(7))."""
CRONS_MAX = 100

Address = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Size = Annotated[int, Meta(ge=0, le=1 << 40)]
Moment = Annotated[datetime, Meta(tz=True)]
Line = Annotated[str, Meta(max_length=500)]


class Strict(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An object with exactly these fields."""


class Git(Strict, kw_only=True):
    commit: Annotated[str, Meta(pattern="^[0-9a-f]{7,64}$")]
    remote: Line = ""
    dirty: bool = False


class KeptVersion(Strict, kw_only=True):
    """A version. Its lock is one of its files; `entry` is "" for a static site."""

    version: Annotated[int, Meta(ge=1, le=2**31)]
    entry: str
    source: Annotated[str, Meta(pattern="^[a-z_]{1,20}$")]
    message: Line = ""
    git: Git | None = None
    remix_of: Annotated[str, Meta(pattern="^[a-z0-9-]{0,40}$")] = ""
    bun: Annotated[str, Meta(max_length=40)] = ""
    pinned: bool = False
    author: Line = ""
    created_at: Moment
    live_at: Moment | None = None
    files: dict[str, Address]


class KeptCron(Strict, kw_only=True):
    """A cron that the app's owner made, as the API takes it."""

    id: str
    schedule: Line
    timezone: Line = "UTC"
    path: Annotated[str, Meta(max_length=1_000)] = ""
    export: Line = ""
    method: str = "POST"
    enabled: bool = True


class KeptFile(Strict, kw_only=True):
    """A file that the app wrote. `at` is the moment that a database is of."""

    path: str
    bytes: Size
    sha256: Address
    mode: Annotated[int, Meta(ge=0, le=0o777)] = 0o644
    at: Moment | None = None


class KeptData(Strict, kw_only=True):
    """All of it; `at`: nothing is older. `left_out` are paths of what could not be taken, with why."""

    at: Moment
    files: list[KeptFile]
    left_out: dict[str, str] = {}


class Manifest(Strict, kw_only=True):
    """What an archive holds. `contents` are sizes by address; `variables` are names, with whether each is secret."""

    steadyd: Literal[1]
    name: str
    at: Moment
    live: int
    settings: dict[str, Any] = {}
    crons: list[KeptCron] = []
    variables: dict[str, bool] = {}
    versions: list[KeptVersion]
    contents: dict[Address, Size]
    data: KeptData | None = None

    @property
    def running(self) -> KeptVersion:
        """The version that was live."""
        return next(version for version in self.versions if version.version == self.live)

    def entries(self) -> Iterator[Entry]:
        """What follows, in order."""
        for address in sorted(self.contents):
            yield Entry(f"{CONTENTS}{address}", self.contents[address], address)
        for file in self.data.files if self.data else ():
            yield Entry(f"{DATA}{file.path}", file.bytes, file.sha256, file)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in it, by its path there. `kept` is what it is of the data; None for a version's content."""

    path: str
    size: int
    sha256: str
    kept: KeptFile | None = None


def written(manifest: Manifest) -> bytes:
    """The first entry's content.

    Raises:
        SteadyError: `too_large`.
    """
    content = msgspec.json.encode(manifest)
    if len(content) > MANIFEST_BYTES_MAX:
        raise _too_large("what the archive would have to list", MANIFEST_BYTES_MAX)
    return content


def fitting(sizes: Mapping[int, Mapping[str, int]], live: int) -> set[int]:
    """Of versions (each with its contents' sizes by address), those that one archive holds: the live one, and the
    newest until it is full."""
    kept: set[int] = set()
    seen: dict[str, int] = {}
    for number in [live, *sorted(sizes.keys() - {live}, reverse=True)]:
        both = {**seen, **sizes[number]}
        if kept and (sum(both.values()) > CONTENT_BYTES_MAX or len(kept) >= VERSIONS_MAX):
            break
        kept.add(number)
        seen = both
    return kept


def is_appfile(file: BinaryIO) -> bool:
    """Whether `file` begins as one does; reads from its start."""
    file.seek(0)
    try:
        if file.read(2) != GZIP_MAGIC:
            return False
        file.seek(0)
        with gzip.GzipFile(fileobj=file, mode="rb") as inflated:
            return next((member.path for member, _ in members(inflated.read)), "") == MANIFEST
    except (zlib.error, EOFError, OSError, SteadyError):
        return False


class AppFile:
    """One being read, whoever made it. Blocking: use it in a thread.

    Raises:
        SteadyError: from everything it does, `invalid_archive`, `invalid_path` or `too_large`, naming what is wrong.
    """

    def __init__(self, file: BinaryIO, limits: TreeLimits) -> None:
        self._file = file
        self._members = _members(file)
        self.manifest = check(_manifest(self._members), limits)

    def contents(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Every entry with its content, once. What is not read of one is read, and proven, before the next."""
        for entry in self.manifest.entries():
            member, content = next(self._members, (None, iter(())))
            if member is None:
                raise _broken(f"“{_shown(entry.path)}” is missing")
            if (member.path, member.kind, member.size) != (entry.path, "file", entry.size):
                raise _broken(f"“{_shown(member.path)}” is where “{_shown(entry.path)}” should be")
            proven = _proven(entry, content)
            yield entry, proven
            for _ in proven:
                pass
        if (surplus := next(self._members, None)) is not None:
            raise _broken(f"nothing lists “{_shown(surplus[0].path)}”")


def check(manifest: Manifest, limits: TreeLimits) -> Manifest:
    """Return it if it hangs together, and every version is one that may be deployed."""
    check_name(manifest.name)
    numbers = [version.version for version in manifest.versions]
    if numbers != sorted(set(numbers)) or manifest.live not in numbers:
        raise _broken("its versions are not in order, or the live one is not among them")
    for found, most, what in (
        (len(numbers), VERSIONS_MAX, "versions"),
        (len(manifest.variables), NAMES_MAX, "variables"),
        (len(manifest.crons), CRONS_MAX, "crons"),
        (len(manifest.data.files) if manifest.data else 0, DATA_FILES_MAX, "files of data"),
    ):
        if found > most:
            raise SteadyError("too_large", f"The archive has more than {most:,} {what}.", {"limit": most})
    for version in manifest.versions:
        _check_version(version, manifest.contents, limits)
    needed = {address for version in manifest.versions for address in version.files.values()}
    if needed != manifest.contents.keys():
        raise _broken("its contents are not those that its versions need")
    if sum(manifest.contents.values()) > CONTENT_BYTES_MAX:
        raise _too_large("the files of all versions", CONTENT_BYTES_MAX)
    if manifest.data:
        _check_data(manifest.data, [*manifest.running.files])
    return manifest


# Private


def _members(file: BinaryIO) -> Iterator[tuple[Member, Content]]:
    file.seek(0)
    inflated = gzip.GzipFile(fileobj=file, mode="rb")

    def read(count: int) -> bytes:
        try:
            return inflated.read(count)
        except (zlib.error, EOFError, OSError) as error:
            raise _broken(" ".join(str(error).split())[:200] or "it ends early") from None

    return members(read)


def _manifest(entries: Iterator[tuple[Member, Content]]) -> Manifest:
    member, content = next(entries, (None, iter(())))
    if member is None or (member.path, member.kind) != (MANIFEST, "file"):
        raise _broken(f"it does not begin with {MANIFEST}, as what “steadyd pull” writes does")
    if member.size > MANIFEST_BYTES_MAX:
        raise _too_large(MANIFEST, MANIFEST_BYTES_MAX)
    text = b"".join(content)
    if (form := re.match(rb'\{"steadyd":(\d{1,9})', text)) and int(form[1]) > FORMAT:
        raise _broken(f"its format is {int(form[1])}, and this steadyd reads up to {FORMAT}: upgrade it")
    try:
        return msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        raise _broken(f"{MANIFEST}: {' '.join(str(error).split())[:200]}") from None


def _check_version(version: KeptVersion, sizes: Mapping[str, int], limits: TreeLimits) -> None:
    limits.check_files(len(version.files))
    for path, address in version.files.items():
        check_path(path)
        if address not in sizes:
            raise _broken(f"version {version.version} needs a content that is not in it")
        limits.check_file(path, sizes[address])
    limits.check_total(sum(sizes[address] for address in version.files.values()))
    check_collisions(version.files)
    if version.entry and version.entry not in version.files:
        raise _broken(f"the entry of version {version.version} is none of its files")


def _check_data(data: KeptData, shipped: Sequence[str]) -> None:
    paths = [file.path for file in data.files]
    if paths != sorted(set(paths)):
        raise _broken("its data is not in order")
    if sum(file.bytes for file in data.files) > DATA_BYTES_MAX:
        raise _too_large("its data", DATA_BYTES_MAX)
    for path in paths:
        check_data_path(path)
    files = {*paths, *shipped}
    for path in paths:
        folder = path
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in files:
                raise _broken(f"“{_shown(folder)}” is a file, and “{_shown(path)}” needs it as a folder")


def check_data_path(path: str) -> str:
    """Return `path` if a file that an app wrote can be called that in an archive: an app chooses its names more freely
    than a version may."""
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts) or "\0" in path
    if odd or len(path.encode()) > DATA_PATH_BYTES_MAX or parts[0] == "node_modules":
        said = f"“{_shown(path)}” cannot be the path of a file of an app's data."
        raise SteadyError("invalid_path", said, {"path": _shown(path)})
    return path


def _proven(entry: Entry, content: Content) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != entry.sha256:
        raise _broken(f"“{_shown(entry.path)}” is not what the list says, by its SHA-256")


def _broken(why: str) -> SteadyError:
    return SteadyError("invalid_archive", f"This archive of an app cannot be used: {why}.")


def _too_large(what: str, limit: int) -> SteadyError:
    said = f"The archive is too large: {what} may have {limit >> 20} MiB."
    return SteadyError("too_large", said, {"limit_bytes": limit})


def _shown(path: str) -> str:
    return path[:200].encode("utf-8", "replace").decode()
