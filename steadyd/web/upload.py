"""What a client sends to create or deploy, in any of its forms, as one value: files by path, and a few wishes."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from msgspec import UNSET
from starlette.requests import Request

from steadyd.appfile import TYPE
from steadyd.errors import SteadyError
from steadyd.model import Commit, Origin, check_name, without_credentials
from steadyd.tree import TreeLimits, check_path, check_tree
from steadyd.web.archive import is_archive, unpack
from steadyd.web.body import JSON_BYTES_MAX, Allowance, convert, decode, pieces, whole
from steadyd.web.carried import Carried, receive_app
from steadyd.web.parts import OPTIONS, Parts
from steadyd.web.schema import Base64, CreateBody, CreateQuery, DeployBody, EnvValue, UploadQuery

JSON_TYPES = ("application/json",)
SOURCE_TYPES = (
    "", "text/plain", "application/typescript", "text/typescript", "application/javascript", "text/javascript",
    "application/x-www-form-urlencoded", "application/octet-stream",
)  # fmt: skip
ARCHIVE_TYPES = (
    "application/gzip", "application/x-gzip", "application/x-tar", "application/x-gtar", "application/tar",
    "application/tar+gzip", "application/x-compressed-tar", "application/zip", "application/x-zip-compressed",
)  # fmt: skip
MULTIPART_TYPE = "multipart/form-data"
SOURCE_PATH = "index.ts"
QUERIES: dict[type[CreateBody | DeployBody], type[CreateQuery]] = {CreateBody: CreateQuery, DeployBody: UploadQuery}
SPOOL_BYTES = 1 << 20
"""An archive up to this size stays in memory; a larger one waits in a temporary file without a name."""


@dataclass(slots=True)
class Upload:
    """Files by path (`None` deletes, in a merge), and what else was asked. `source` says in which form it came."""

    files: dict[str, bytes | None]
    source: str
    name: str | None = None
    temporary: bool = False
    merge: bool = False
    base_version: int | None = None
    trial: bool = True
    test: bool = False
    rehearse: int = 0
    strict: bool = False
    replace_data: bool = False
    """The data of an app's archive goes into the place of the app's own."""
    env: Mapping[str, str | EnvValue | None] = field(default_factory=dict)
    """Variables that go live with it, as they were sent."""
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    message: str = ""
    claim: str = ""
    """Where the files come from, if the client says more than `source`."""
    commit: Commit | None = None
    remix_of: str = ""
    """The app whose code it is."""
    based_on: str = ""
    """The app whose code it was, before somebody changed it."""
    carried: Carried | None = None
    """The archive of an app, of whose live version the files are."""

    @property
    def origin(self) -> Origin:
        """What the version will say of itself."""
        if of := self.remix_of or self.based_on:
            return Origin("remix", self.message.strip(), of=of)
        source = "merge" if self.merge else self.claim or self.source
        return Origin(source, self.message.strip(), self.commit)

    def tree(self, limits: TreeLimits) -> dict[str, bytes]:
        """The files of a whole app, checked.

        Raises:
            SteadyError: `invalid_path`, `too_large`, `no_entry`.
        """
        tree = {path: content for path, content in self.files.items() if content is not None}
        return dict(check_tree(tree, limits))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an upload is read within: `body_bytes` of this body, `allowance` of all bodies, `tree` of what is in it."""

    body_bytes: int
    allowance: Allowance
    tree: TreeLimits


async def receive(request: Request, body: type[CreateBody | DeployBody], bounds: Bounds) -> Upload:
    """Read the request's body, whatever its form, within `bounds`.

    Raises:
        SteadyError: any of the 4xx for a body that cannot become an app.
    """
    kind = content_type(request)
    query = convert(_query(request), QUERIES[body], strict_names=True)
    if kind in JSON_TYPES:
        upload = _from_json(await whole(request, min(JSON_BYTES_MAX, bounds.body_bytes), bounds.allowance), body)
    elif kind == MULTIPART_TYPE:
        upload = await _from_multipart(request, QUERIES[body], bounds)
    elif kind == TYPE:
        upload = await _from_appfile(request, bounds)
    elif kind in ARCHIVE_TYPES or kind in SOURCE_TYPES:
        upload = await _from_bytes(request, query.with_data, bounds)
    else:
        raise SteadyError(
            "unsupported_media_type",
            f"“{kind[:80]}” cannot be deployed. Send the source itself (text/plain), application/json, "
            "multipart/form-data, a tar.gz or zip (application/gzip, application/zip), or what “steadyd pull” wrote "
            f"({TYPE}).",
        )
    _apply(upload, query)
    if upload.merge and upload.remix_of:
        said = "“from” takes the whole of another app, which “merge” would mix with this one."
        raise SteadyError("invalid", said, {"field": "merge"})
    for path in upload.files:
        check_path(path)
    if any(path.rpartition("/")[2].startswith(".env") for path in upload.files):
        upload.notes.append("A .env file was shipped; it is a plain file to the app and is not read as variables.")
    return upload


def content_type(request: Request) -> str:
    """The media type in lower case without its parameters; "" if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def content_of(path: str, value: str | Base64 | None) -> bytes | None:
    """The bytes of a file in JSON; None for one that is to be deleted.

    Raises:
        SteadyError: `invalid_path` or `invalid`.
    """
    check_path(path)
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(value.base64, validate=True)
    except ValueError:
        raise SteadyError("invalid", f"“{path}” is not base64.", {"path": path}) from None


# Private


def _from_json(content: bytes, kind: type[CreateBody | DeployBody]) -> Upload:
    body = decode(content, kind)
    files = {path: content_of(path, value) for path, value in (body.files or {}).items()}
    upload = Upload(files, "json", name=body.name or None, temporary=body.temporary is True, message=body.message)
    upload.claim = body.source or ""
    upload.env = body.env or {}
    upload.remix_of = _original(body)
    if body.git:
        upload.commit = Commit(body.git.commit, without_credentials(body.git.remote), body.git.dirty)
    if isinstance(body, CreateBody) and body.remix_of:
        if upload.remix_of:
            said = "“remix_of” says what your own “files” were made from; “from” takes the other app's as they are."
            raise SteadyError("invalid", said, {"field": "remix_of"})
        upload.based_on = check_name(body.remix_of)
    if isinstance(body, DeployBody):
        upload.merge = body.merge
        upload.base_version = body.base_version or None
        upload.trial, upload.test = body.trial, body.test
        upload.rehearse, upload.strict = body.rehearse, body.strict
        if not body.merge and None in files.values():
            path = next(path for path, content in files.items() if content is None)
            raise SteadyError("invalid", f"“{path}” is null, which deletes a file only with “merge”.", {"path": path})
    return upload


def _original(body: CreateBody | DeployBody) -> str:
    """The app whose files it takes, which are read once it is known who asks; "" where it brings its own."""
    if body.from_ is UNSET:
        if body.files is UNSET:
            said = "“files” is missing: an object of path to text. Or take another app's, by “from” and its name."
            raise SteadyError("invalid", said, {"field": "files"})
        return ""
    if body.files is not UNSET or body.source or body.git:
        said = "“from” takes the files of another app, so “files”, “source” and “git” have no place beside it."
        raise SteadyError("invalid", said, {"field": "from"})
    return check_name(body.from_)


async def _from_multipart(request: Request, options: type[CreateQuery], bounds: Bounds) -> Upload:
    parts = Parts(request.headers.get("content-type", ""), bounds.tree)
    async with pieces(request, bounds.body_bytes, bounds.allowance) as read:
        async for piece in read:
            parts.feed(piece)
        parts.finish()
    upload = Upload(dict(parts.files), "multipart")
    _apply(upload, convert(parts.options, options, strict_names=True))
    return upload


async def _from_bytes(request: Request, with_data: bool, bounds: Bounds) -> Upload:
    """An archive, or one bare source file; which of them, the first bytes say better than the content type."""
    kind = content_type(request)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        async with pieces(request, bounds.body_bytes, bounds.allowance) as read:
            head = b""
            async for piece in read:
                head = head or piece[:4]
                spool.write(piece)
                if not _archived(kind, head):
                    bounds.tree.check_file(SOURCE_PATH, spool.tell())
            spool.seek(0)
            if _archived(kind, head):
                unpacked = await asyncio.to_thread(unpack, cast("BinaryIO", spool), with_data, bounds.tree)
                notes = ["More was left out than is listed."] if unpacked.unlisted else []
                return Upload(dict(unpacked.files), "archive", left_out=unpacked.left_out, notes=notes)
            return Upload({SOURCE_PATH: _source(spool.read())}, "paste")


async def _from_appfile(request: Request, bounds: Bounds) -> Upload:
    carried = await receive_app(request, bounds.body_bytes, bounds.allowance, bounds.tree)
    live = carried.manifest.running
    return Upload(dict(carried.tree), "archive", message=live.message, carried=carried)


def _archived(kind: str, head: bytes) -> bool:
    return kind in ARCHIVE_TYPES or is_archive(head)


def _source(content: bytes) -> bytes:
    problem = ""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    else:
        if "\0" in text:
            problem = "it has a NUL character"
        elif not text.strip():
            problem = "it is empty"
    if problem:
        raise SteadyError("invalid", f"The body is taken as {SOURCE_PATH}, and {problem}.", {"path": SOURCE_PATH})
    return content


def _query(request: Request) -> dict[str, str]:
    items = request.query_params.multi_items()
    values = dict(items)
    if len(values) != len(items):
        raise SteadyError("invalid", "The query names something twice.")
    return {name: value for name, value in values.items() if value or name in OPTIONS}


def _apply(upload: Upload, query: CreateQuery) -> None:
    """What the query (or a form's fields) adds to what the body says; they must not contradict each other."""
    if query.name is not UNSET and query.name:
        if upload.name is not None and upload.name != query.name:
            raise SteadyError("invalid", f"The body names the app “{upload.name}”, the query “{query.name}”.")
        upload.name = query.name
    upload.temporary = upload.temporary or query.temporary
    upload.message = query.message or upload.message
    upload.claim = query.source or upload.claim
    if query.git_commit:
        upload.commit = Commit(query.git_commit, without_credentials(query.git_remote), query.git_dirty)
    if not isinstance(query, UploadQuery):
        return
    upload.merge = upload.merge or query.merge
    if query.base_version is not UNSET:
        upload.base_version = query.base_version
    upload.trial = upload.trial and query.trial
    upload.test = upload.test or query.test
    upload.rehearse = upload.rehearse or query.rehearse
    upload.strict = upload.strict or query.strict
    upload.replace_data = query.replace_data
