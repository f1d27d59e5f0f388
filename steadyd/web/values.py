"""Values of a database in the API: what JSON holds as it is, and the rest in an object that says what it is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from steadyd.errors import SteadyError
from steadyd.runner.query import sent
from steadyd.web import schema

S = TypeVar("S", bound=msgspec.Struct)


class Special(schema.Strict):
    """A value that JSON does not hold as it is, or not whole: a BLOB (`base64`), an integer beyond 2^53 (`integer`), a
    REAL that JSON would show as an integer (`real`), a TEXT that is not UTF-8 (`text`, in Base64). With `bytes`, its
    length, it is cut: the first of them are `base64` of a BLOB, `head` of a TEXT."""

    base64: str | UnsetType = UNSET
    integer: str | UnsetType = UNSET
    real: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    head: str | UnsetType = UNSET
    bytes: int | UnsetType = UNSET


Exact = None | bool | int | float | str | Special


def given(value: Exact, field: str) -> Any:
    """A value that a client sent, as a child takes it.

    Raises:
        SteadyError: `invalid` with `details.field`.
    """
    if not isinstance(value, Special):
        return sent(value)
    try:
        _check(value)
    except ValueError:
        raise SteadyError("invalid", f"A value in “{field}” is not what it says it is.", {"field": field}) from None
    return msgspec.to_builtins(value)


def answered(answer: Mapping[str, Any], kind: type[S]) -> S:
    """What a child said, as what it should have said: it read a file that somebody made, and is not believed.

    Raises:
        SteadyError: `database_damaged`.
    """
    try:
        made = msgspec.convert(answer, kind)
        msgspec.json.encode(made)
    except (msgspec.MsgspecError, ValueError):
        raise SteadyError("database_damaged", "Reading this database gave an answer that makes no sense.") from None
    return made


# Private


def _check(value: Special) -> None:
    kinds = [text for text in (value.base64, value.integer, value.real, value.text, value.head) if text is not UNSET]
    if len(kinds) != 1 or (value.head is not UNSET and value.bytes is UNSET):
        raise ValueError
    for text in (value.base64, value.text):
        if text is not UNSET:
            base64.b64decode(text, validate=True)
    if value.integer is not UNSET and not -(2**63) <= int(value.integer) < 2**63:
        raise ValueError
    if value.real is not UNSET:
        float(value.real)
        if value.real.strip().lower() not in ("infinity", "-infinity") and not _is_digits(value.real):
            raise ValueError


def _is_digits(text: str) -> bool:
    return text.isascii() and set(text.lower()) <= set("0123456789+-.e") and text == text.strip()
