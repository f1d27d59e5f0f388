"""Values of a database as people see and type them on a page."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET

from steadyd.errors import SteadyError
from steadyd.web.safetext import visible
from steadyd.web.values import Exact, Special

SHOWN_CHARACTERS = 400
"""Of one value in a table."""
SHOWN_BYTES = 12
"""Of a BLOB."""
EXACT_BELOW = 2**53

Kind = Literal["null", "number", "text", "blob", "default"]
""""default" is what a new row gets where nothing is typed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. `text` is safe to show; `more` says how long it is where it is not shown whole, "" where it is."""

    kind: Kind
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One value in a form; `fixed` says why it cannot be typed there exactly, "" where it can."""

    kind: Kind
    text: str
    fixed: str = ""


def cell(value: Exact) -> Cell:
    """A value in a table."""
    if value is None:
        return Cell("null", "NULL")
    if isinstance(value, int | float):
        return Cell("number", str(value))
    if isinstance(value, str):
        return _text(value, len(value.encode("utf-8", "replace")))
    if value.integer is not UNSET:
        return Cell("number", value.integer)
    if value.real is not UNSET:
        return Cell("number", value.real)
    if value.head is not UNSET:
        return _text(value.head, int(value.bytes or 0), cut=True)
    raw = _bytes(value)
    length = len(raw) if value.bytes is UNSET else value.bytes
    digits = raw[:SHOWN_BYTES].hex(" ")
    what = "not UTF-8, " if value.text is not UNSET else ""
    return Cell("blob", f"{digits}{' …' if length > SHOWN_BYTES else ''}", f"{what}{length:,} bytes")


def field(value: Exact) -> Field:
    """A value in a form: a textarea knows LF alone, and no NUL."""
    if value is None:
        return Field("null", "")
    if isinstance(value, int | float):
        return Field("number", str(value))
    if isinstance(value, str):
        if "\r" in value or "\0" in value:
            return Field("text", visible(value), "It holds characters that a form would change. Set it by SQL.")
        return Field("text", value)
    if value.integer is not UNSET:
        return Field("number", value.integer)
    if value.real is not UNSET:
        return Field("number", value.real)
    if value.bytes is not UNSET:
        return Field(
            "text" if value.head is not UNSET else "blob", "", "It is too long to be edited here. Set it by SQL."
        )
    if value.text is not UNSET:
        return Field("blob", _bytes(value).hex(), "It is a text that is not UTF-8. Set it by SQL.")
    return Field("blob", _bytes(value).hex())


def typed(kind: str, text: str, column: str) -> Exact:
    """What was typed, as a value.

    Raises:
        SteadyError: `invalid`, naming the column.
    """
    if kind == "null" and not text.strip():
        return None
    if kind == "text":
        return text
    try:
        if kind == "blob":
            return Special(base64=base64.b64encode(bytes.fromhex(text)).decode())
        if kind == "number":
            return number(text.strip())
    except ValueError:
        pass
    what = {"blob": "hexadecimal digits, two for each byte", "number": "a number of 64 bits"}.get(
        kind, "NULL. Say what it is"
    )
    raise SteadyError("invalid", f"“{visible(text[:60])}” is not {what}.", {"column": column})


def number(text: str) -> Exact:
    """A number as it was typed: of digits alone it is an INTEGER, else a REAL.

    Raises:
        ValueError: it is none.
    """
    if not text.isascii() or "_" in text:
        raise ValueError
    try:
        integer = int(text)
    except ValueError:
        real = float(text)
        if math.isnan(real):
            raise
        return Special(real=("-Infinity" if real < 0 else "Infinity") if math.isinf(real) else repr(real))
    if not -(2**63) <= integer < 2**63:
        raise ValueError
    return integer if abs(integer) < EXACT_BELOW else Special(integer=str(integer))


def same(value: Exact, kind: str, text: str) -> bool:
    """Whether a form came back as it was made of this value."""
    was = field(value)
    return bool(was.fixed) or (was.kind, was.text) == (kind, text)


# Private


def _text(text: str, length: int, cut: bool = False) -> Cell:
    head = text[:SHOWN_CHARACTERS]
    whole = not cut and len(head) == len(text)
    return Cell("text", visible(head) + ("" if whole else "…"), "" if whole else f"{length:,} bytes")


def _bytes(value: Special) -> bytes:
    said: Any = value.text if value.base64 is UNSET else value.base64
    return base64.b64decode(said) if isinstance(said, str) else b""
