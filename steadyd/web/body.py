"""Reading a request's body within a limit, and within what all bodies together may take."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from steadyd.errors import SteadyError

BODY_BYTES_MAX = 100 << 20
JSON_BYTES_MAX = 32 << 20
"""Parsing JSON holds the interpreter (about 3 ms per MiB), and every app's requests with it. Larger trees come as
multipart or as an archive."""
CALL_BYTES_MAX = 1 << 20
"""For calls that carry no files."""
BODIES_BYTES_MAX = 400 << 20
"""All bodies being read, and all trees being deployed, at one time."""

PLACE_CHARACTERS_MAX = 200
"""Of a field's name, in an error about it."""
FIELD = re.compile("field `(.*?)`(?: - at|$)")
PLACE = re.compile(r" - at `\$\.?(.+)`$")
ANY_KEY = re.compile(r" - at `\$\.(\w+)\[\.\.\.\]")
"""How msgspec says where."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Allowance:
    """What all bodies, and what was unpacked from them, hold in memory or in temporary files, in bytes."""

    def __init__(self, limit: int = BODIES_BYTES_MAX) -> None:
        self._limit = limit
        self.taken = 0

    def take(self, count: int) -> None:
        """Take `count` bytes more.

        Raises:
            SteadyError: `overloaded`, when too much is being uploaded at once.
        """
        if self.taken + count > self._limit:
            raise SteadyError("overloaded", "Too much is being uploaded at once. Try again in a moment.", retry_after=2)
        self.taken += count

    def give_back(self, count: int) -> None:
        self.taken -= count


class Holding:
    """One call's part of the allowance; all of it is given back when the block ends."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._taken = 0
        self._files = contextlib.ExitStack()

    def take(self, count: int) -> None:
        self.allowance.take(count)
        self._taken += count

    def keep(self, file: BinaryIO) -> None:
        """Have it closed at the end of the call."""
        self._files.enter_context(contextlib.closing(file))

    def __enter__(self) -> Holding:
        return self

    def __exit__(self, *outcome: object) -> None:
        self.allowance.give_back(self._taken)
        self._files.close()


@asynccontextmanager
async def pieces(request: Request, limit: int, allowance: Allowance) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body piece by piece. What it takes from `allowance` is given back when the block ends.

    Raises:
        SteadyError: `too_large` as soon as the limit is passed, `overloaded`, or `bad_request` if the client left.
    """
    taken = 0

    async def read() -> AsyncIterator[bytes]:
        nonlocal taken
        try:
            async for piece in request.stream():
                allowance.take(len(piece))
                taken += len(piece)
                if taken > limit:
                    raise too_large(limit)
                if piece:
                    yield piece
        except ClientDisconnect:
            raise SteadyError("bad_request", "The body ended early.") from None

    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limit:
        raise too_large(limit)
    try:
        yield read()
    finally:
        allowance.give_back(taken)


async def whole(request: Request, limit: int, allowance: Allowance) -> bytes:
    """The whole body."""
    content = bytearray()
    async with pieces(request, limit, allowance) as read:
        async for piece in read:
            content += piece
    return bytes(content)


def too_large(limit: int) -> SteadyError:
    shown = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
    advice = " Send files as multipart/form-data or as a tar.gz instead." if limit == JSON_BYTES_MAX else ""
    return SteadyError("too_large", f"The body is larger than {shown}.{advice}", {"limit_bytes": limit})


def decode(content: bytes, kind: type[T]) -> T:
    """A JSON body as `kind`. An empty body counts as `{}`.

    Raises:
        SteadyError: `bad_request` if it is not JSON, `invalid` with `details.field` if it is not a `kind`, or if it
            names a key twice.
    """
    content = content.strip() or b"{}"
    try:
        value = msgspec.json.decode(content, type=kind)
        # msgspec lets the last of two equal keys win; which file a user meant is not ours to guess.
        json.loads(content, object_pairs_hook=_once)
    except msgspec.ValidationError as error:
        said = _with_key(str(error), content, kind)
        raise SteadyError("invalid", f"The body does not fit: {said}.", _place(said)) from None
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        raise SteadyError("bad_request", f"The body is not JSON: {_one_line(error)}") from None
    return value


def convert(values: dict[str, str], kind: type[S], strict_names: bool) -> S:
    """Query parameters or form fields as `kind`. Without `strict_names` a name that `kind` lacks is ignored.

    Raises:
        SteadyError: `invalid`.
    """
    if not strict_names:
        names = {field.encode_name for field in msgspec.structs.fields(kind)}
        values = {name: value for name, value in values.items() if name in names}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        names_known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise SteadyError(
            "invalid", f"The query does not fit: {error}. It may have: {names_known}.", _place(str(error))
        ) from None


# Private


def _place(said: str) -> dict[str, str]:
    """Which field msgspec complains of: the one it names, in the place it names."""
    field, place = FIELD.search(said), PLACE.search(said)
    parts = [place[1] if place else "", field[1] if field else ""]
    found = ".".join(part for part in parts if part)
    return {"field": found[:PLACE_CHARACTERS_MAX]} if found else {}


def _with_key(said: str, content: bytes, kind: Any) -> str:
    """The complaint with the key that msgspec leaves out, where a value in an object of any keys is wrong."""
    name = ANY_KEY.search(said)
    if name is None:
        return said
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    try:
        values = msgspec.json.decode(content)[name[1]].items()
    except (msgspec.MsgspecError, RecursionError, AttributeError):
        return said  # The complaint came before the rest was read, and that is worse.
    key = next((key for key, value in values if not _fits({key: value}, kinds[name[1]])), "...")
    return said.replace("[...]", f"[{key[:PLACE_CHARACTERS_MAX]}]", 1)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SteadyError("invalid", f"The body names “{twice[:200]}” twice.", {"key": twice[:200]})
    return made


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
