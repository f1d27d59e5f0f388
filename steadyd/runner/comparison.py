"""What differs between two states of one of an app's databases, and rows of an earlier one brought back into the live
one. Both are hostile: only a child opens them, as the app, in the sandbox (harness/changed.ts, harness/back.ts)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.folder import make_own, scratch_path
from steadyd.runner.ground import Ground, nothing_live
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Bounds, Result, Tools

COMPARE_SECONDS_MAX = 15.0
"""With the start of the child. After 8 s no further table is begun (harness/changed.ts)."""
BACK_SECONDS_MAX = 8.0
"""Requests may wait for it at the gate, for 10 s."""
MEMORY_BYTES_MAX = 256 << 20
ROWS_MAX = 200
"""Changed rows told at once."""
ROWS_BYTES_MAX = 1 << 20
ANSWER_BYTES = 4 << 20
"""Rows, and one row of 2,000 columns more."""
KEYS_MAX = 1_000
"""Rows brought back by their keys, at once."""
KEYS_BYTES_MAX = 64 << 10
"""As JSON. A process takes 128 KiB in one variable (execve(2), MAX_ARG_STRLEN)."""
PAGE_CHARACTERS_MAX = 4_000
REAL = re.compile(r"-?(?:Infinity|\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)")

Key = list[Any]
"""Of a row, exact: an integer beyond 2^53 is `{"integer": "…"}`, a BLOB `{"base64": "…"}`, a REAL that JSON would take
for an integer `{"real": "…"}`. None for one that cannot be named: too long, or not UTF-8."""
Change = Literal["inserted", "deleted", "updated"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Definition:
    """A table, index, view or trigger that is not as it was. `before` and `after` are SQL."""

    change: Literal["added", "removed", "altered"]
    kind: str
    name: str
    table: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """How many rows of one table differ. `known_by`: how a row is found again at the other moment: by its primary key,
    by SQLite's own number, or by nothing but its content, where `updated` is 0 and rows have no key. `problem`: why
    it was not compared; "" if it was."""

    table: str
    known_by: Literal["key", "rowid", "content"]
    key: list[str]
    inserted: int
    deleted: int
    updated: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs between two states. `more`, `schema_more`: there are more than are told."""

    schema: list[Definition]
    schema_more: bool
    tables: list[Table]
    more: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row that differs: `before` in the order of `old_columns`, `after` in that of `columns`. A long text is
    `{"head": its beginning, "bytes": N}`, a long BLOB `{"base64": its beginning, "bytes": N}`. `differs` names
    the columns of an updated row, `count` says how many rows of that content a table without keys has more or fewer."""

    change: Change
    key: Key | None
    before: list[Any] | None
    after: list[Any] | None
    differs: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one table that differ: deleted ones, then updated ones, then inserted ones. `next` asks for those after
    them; "" if there are none."""

    table: Table
    old_columns: list[str]
    columns: list[str]
    rows: list[Row]
    next: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Which rows to bring back: of each table those with these keys, or all where there are none. Only with `overwrite`
    does a live row become what it was."""

    tables: Mapping[str, Sequence[Key] | None]
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that was left alone: there was none with that key, or the live one differs."""

    table: str
    key: Key | None
    reason: Literal["differs", "not_there"]


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of it: rows that were there as they had been are `unchanged`. `skips` lists the first of those
    `skipped`; `made` names tables that were made again."""

    inserted: int
    overwritten: int
    unchanged: int
    skipped: int
    skips: list[Skip]
    made: list[str]


class Comparison:
    """Compares states of databases. A state is a file that nobody writes to, which the app's uid may read; or None, for
    the live one."""

    def __init__(self, ground: Ground, tools: Tools) -> None:
        self._ground = ground
        self._tools = tools.within(Bounds(MEMORY_BYTES_MAX, ANSWER_BYTES))

    async def changes(self, app: App, file: str, before: Path, after: Path | None = None) -> Changes:
        """What differs from `before` to `after` in the database `file`, in counts.

        Raises:
            SteadyError: `not_found`, `sql_error`, `database_damaged` or `query_timeout`.
        """
        return _told(await self._between(app, file, before, after), Changes)

    async def page(self, app: App, file: str, before: Path, after: Path | None, table: str, place: str = "") -> Page:
        """Which rows of one table differ, from the `place` on that the page before named as its `next`.

        Raises:
            SteadyError: as `changes`, or `invalid` for a place that is none.
        """
        answer = await self._between(app, file, before, after, {"table": table, "page": _placed(place)})
        following = answer.pop("next", None)
        said = base64.urlsafe_b64encode(json.dumps(following).encode()).decode() if following else ""
        counts = {name: answer.pop(name, None) for name in Table.__slots__}
        return _told({**answer, "table": counts, "next": said}, Page)

    async def bring_back(self, app: App, file: str, before: Path, wish: Wish) -> Brought:
        """Rows as they were in `before`, into the live database: all of the wish in one transaction, or nothing.

        Raises:
            SteadyError: `conflict` where a constraint forbids it, with `details.problems`; `invalid`, `too_large`, or
                as `changes`.
        """
        tables = [{"table": table, "keys": keys} for table, keys in checked(wish).tables.items()]
        asked = {"file": file, "tables": tables, "overwrite": wish.overwrite}
        words = ["{engine}/back.ts", "{before}"]
        return _told(
            await self._run(app, words, {"STEADY_BACK": asked}, {"/before": before}, BACK_SECONDS_MAX), Brought
        )

    # Private

    async def _between(
        self, app: App, file: str, before: Path, after: Path | None, more: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        asked = {"file": file, "table": "", "rows": ROWS_MAX, "bytes": ROWS_BYTES_MAX, **(more or {})}
        shown = {"/before": before} if after is None else {"/before": before, "/after": after}
        words = ["{engine}/changed.ts", "{copy}", *(f"{{{inner[1:]}}}" for inner in shown)]
        return await self._run(app, words, {"STEADY_CHANGED": asked}, shown, COMPARE_SECONDS_MAX)

    async def _run(
        self, app: App, words: Sequence[str], asked: Mapping[str, Any], shown: Mapping[str, Path], seconds: float
    ) -> dict[str, Any]:
        self._ground.check_may_run(app)
        place = self._ground.place(app)
        if not place.app.is_dir():
            raise nothing_live(app)
        copies = scratch_path(place, "changed")
        make_own(copies, place.uid)
        try:
            environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}
            environ |= {name: json.dumps(value) for name, value in asked.items()}
            engine = self._tools.engine.folder
            room = Room(place.app, engine, place.uid, environ, extra={"/copy": copies}, shown=shown)
            result = await self._tools.run(room, [*SCRIPT, *words], seconds)
        finally:
            await self._ground.trash.throw(copies)
        answer = result.answer()
        if error := answer.get("error"):
            raise SteadyError(error["code"], error["message"], error.get("details") or {})
        if not answer:
            raise _problem(result, seconds)
        return answer


def checked(wish: Wish) -> Wish:
    """A wish whose keys have the right form.

    Raises:
        SteadyError: `invalid` or `too_large`.
    """
    keys = [key for keys in wish.tables.values() for key in keys or ()]
    if len(keys) > KEYS_MAX or len(json.dumps([wish.tables])) > KEYS_BYTES_MAX:
        raise SteadyError("too_large", f"At most {KEYS_MAX} rows are brought back at once, or a whole table.")
    for value in (value for key in keys for value in key):
        if not _is_exact(value):
            raise SteadyError("invalid", "A value of a key is a number, a text, or as the list of changes names it.")
    return wish


# Private


def _is_exact(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int):
        return abs(value) < 2**53
    if not isinstance(value, dict):
        return isinstance(value, float | str)
    match list(value.items()):
        case [("integer", str(digits))]:
            return digits.removeprefix("-").isdecimal() and digits.isascii() and -(2**63) <= int(digits[:20]) < 2**63
        case [("base64", str(text))]:
            try:
                return bool(base64.b64decode(text, validate=True)) or not text
            except binascii.Error:
                return False
        case [("real", str(text))]:
            return REAL.fullmatch(text) is not None
    return False


def _placed(place: str) -> dict[str, Any]:
    """Where a page begins."""
    if not place:
        return {"phase": 0, "key": None, "skip": 0}
    try:
        said = json.loads(base64.urlsafe_b64decode(place[:PAGE_CHARACTERS_MAX]))
        phase, key, skip = int(said["phase"]), said["key"], int(said["skip"])
        if not (0 <= phase <= 2 and 0 <= skip < 2**53 and (key is None or all(map(_is_exact, key)))):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise SteadyError("invalid", "“after” is none that this call told.", {"field": "after"}) from None
    return {"phase": phase, "key": key, "skip": skip}


def _told(answer: dict[str, Any], kind: type[T]) -> T:
    """What the child said, as `kind`: it read hostile files, so it is not believed to have kept its form."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:
        raise SteadyError("database_damaged", "The databases were read, but what came of it makes no sense.") from None


def _problem(result: Result, seconds: float) -> SteadyError:
    """Why there is no answer."""
    if result.timed_out:
        message = (
            f"It took longer than {seconds:g} s and was ended; nothing was changed. Ask for one table, or fewer rows."
        )
        return SteadyError("query_timeout", message)
    if result.ended.signal == "SIGKILL":
        return SteadyError("sql_error", f"It needed more memory than {MEMORY_BYTES_MAX >> 20} MiB and was ended.")
    if result.ended.signal is not None:
        return SteadyError("database_damaged", f"Reading the databases ended with {result.ended}.")
    lines = result.last_lines(1)
    return SteadyError("sql_error", f"They could not be compared: {lines[-1] if lines else result.ended}")
