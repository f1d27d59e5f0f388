"""The API call that compares two versions: for programs as JSON, for people and `git apply` as a patch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from msgspec import field
from starlette.responses import Response

from steadyd import model
from steadyd.edits import Work
from steadyd.errors import SteadyError
from steadyd.patch import Change, FilePatch, compare, patch
from steadyd.web import schema
from steadyd.web.answers import NO_STORE, json_answer
from steadyd.web.endpoint import Access, Call, Endpoint
from steadyd.web.rooms import Rooms
from steadyd.web.versions import APP, ERRORS, wanted

COMPARED_BYTES_MAX = 8 << 20
"""Contents of both versions that one diff looks into."""
STEPS_MAX = 1_000_000
"""Comparisons of lines in one diff: about half a second, and the other threads get their turns meanwhile."""
TEXT_TYPES = ("text/x-diff", "text/plain")
TOO_LARGE = f"Too large to be compared here ({COMPARED_BYTES_MAX >> 20} MiB for all files); take the archives."


class FileDiff(schema.Strict):
    """One file that differs. `patch` is what `git apply` takes, "" where `note` says why there is none."""

    path: str
    status: Literal["added", "modified", "deleted"]
    binary: bool
    added: int
    deleted: int
    patch: str
    note: str


class Diff(schema.Strict):
    from_: int = field(name="from")
    to: int
    files: list[FileDiff]


class DiffAnswer(schema.Strict):
    diff: Diff


async def show_diff(call: Call) -> Response:
    before, after = await wanted(call, "n"), await wanted(call, "m")
    changes = compare(before.files, after.files)
    files = await compared(call.rooms, changes)
    accept = call.request.headers.get("accept", "")
    kind = next((kind for kind in TEXT_TYPES if kind in accept), None)
    if kind is None:
        return json_answer(DiffAnswer(diff=Diff(from_=before.number, to=after.number, files=files)))
    return Response(joined(files), 200, NO_STORE, f"{kind}; charset=utf-8")


async def compared(rooms: Rooms, changes: Sequence[Change]) -> list[FileDiff]:
    """Each with its patch; so many comparisons go on at a time.

    Raises:
        SteadyError: `overloaded`.
    """
    async with rooms.comparisons():
        return await _compared(rooms, changes)


def joined(files: Sequence[FileDiff]) -> str:
    """All of it as one patch.

    Raises:
        SteadyError: `too_large` where a part is missing.
    """
    if any(file.note == TOO_LARGE for file in files):
        raise SteadyError("too_large", f"These versions differ by too much for one patch. {TOO_LARGE}")
    return "".join(file.patch for file in files)


ENDPOINTS = (
    Endpoint(
        method="GET", path=f"{APP}/versions/{{n}}/diff/{{m}}", handler=show_diff, access=Access.READER,
        summary="What differs between two versions, file by file; as a patch if `Accept` names text/x-diff.",
        answers={"application/json": (DiffAnswer,), "text/x-diff": (str,), "text/plain": (str,)},
        errors=(*ERRORS, "too_large", "overloaded"),
    ),
)  # fmt: skip


# Private


async def _compared(rooms: Rooms, changes: Sequence[Change]) -> list[FileDiff]:
    work, left, found = Work(STEPS_MAX), COMPARED_BYTES_MAX, []
    for change in changes:
        size = sum(file.size for file in (change.before, change.after) if file is not None)
        made = FilePatch("", note=TOO_LARGE)
        if size <= left:
            left -= size
            before, after = [await _content(rooms, file) for file in (change.before, change.after)]
            made = await asyncio.to_thread(patch, change.path, before, after, work)
        found.append(
            FileDiff(
                path=change.path, status=change.status, binary=made.binary, added=made.added, deleted=made.deleted,
                patch=made.text, note=made.note,
            )
        )  # fmt: skip
    return found


async def _content(rooms: Rooms, file: model.File | None) -> bytes | None:
    return None if file is None else await rooms.deployer.content(file)
