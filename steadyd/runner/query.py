"""Reading an app's databases, running or asleep. What the app wrote is hostile: only a child opens it, as the app, in
the sandbox, with nothing to write to but a copy."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.folder import Place, scratch_path
from steadyd.runner.ground import Ground
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Bounds, Result, Tools
from steadyd.statement import statements

QUERY_SECONDS_MAX = 5.0
"""With the start of the child."""
LIST_SECONDS_MAX = 5.0
MEMORY_BYTES_MAX = 256 << 20
SQL_BYTES_MAX = 16 << 10
PARAMS_BYTES_MAX = 32 << 10
ROWS_MAX = 1_000
ROWS_BYTES_MAX = 1 << 20
"""As JSON."""
ANSWER_BYTES = ROWS_BYTES_MAX + (256 << 10)
"""Rows, and the names of their columns."""
EXACT_BELOW = 2**53
"""Beyond it a JSON number is not an integer any more to everybody who reads it."""

Value = None | int | float | str | bytes
Params = Sequence[Value] | Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Found:
    """A database in an app's folder. `modified_at` is in seconds since 1970."""

    path: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query found. A BLOB is `{"base64": …}`; an integer beyond 2^53 and an infinity are texts."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    milliseconds: float


class Databases:
    """Finds and reads the databases of apps."""

    def __init__(self, ground: Ground, tools: Tools) -> None:
        self._ground = ground
        self._tools = tools.within(Bounds(MEMORY_BYTES_MAX, ANSWER_BYTES))

    async def of(self, app: App) -> tuple[list[Found], bool]:
        """The databases in the app's folder, known by their content, and whether there are more than were looked at.

        Raises:
            SteadyError: `query_timeout` for a folder that takes too long.
        """
        result = await self._run(app, ["list"], {}, LIST_SECONDS_MAX)
        answer = result.answer()
        if not isinstance(answer.get("databases"), list):
            raise _problem(result)
        found = [Found(item["path"], item["size_bytes"], item["modified_ms"] / 1000) for item in answer["databases"]]
        return sorted(found, key=lambda each: each.path), bool(answer["more"])

    async def read(self, app: App, file: str, sql: str, params: Params = ()) -> Rows:
        """Run one statement that reads, on the database in `file`.

        Raises:
            SteadyError: `not_found`, `sql_error`, `database_damaged`, `query_timeout` or `too_large`.
        """
        query = {"file": file, "sql": checked(sql), "params": _sent(params)}
        text = json.dumps({**query, "rows": ROWS_MAX, "bytes": ROWS_BYTES_MAX}, ensure_ascii=False)
        if len(text.encode()) > SQL_BYTES_MAX + PARAMS_BYTES_MAX:
            raise SteadyError("too_large", f"The parameters are longer than {PARAMS_BYTES_MAX >> 10} KiB.")
        result = await self._run(app, ["read", "{copy}"], {"STEADY_QUERY": text}, QUERY_SECONDS_MAX)
        answer = result.answer()
        if error := answer.get("error"):
            raise SteadyError(error["code"], error["message"], {"file": file})
        if not isinstance(answer.get("rows"), list):
            raise _problem(result)
        return Rows(answer["columns"], answer["rows"], answer["truncated"], answer["ms"])

    # Private

    async def _run(self, app: App, words: Sequence[str], environ: Mapping[str, str], seconds: float) -> Result:
        self._ground.check_may_run(app)
        place = self._ground.place(app)
        if not place.app.is_dir():
            raise SteadyError("conflict", f"“{app.name}” has no live version. Deploy one first.")
        copies = scratch_path(place, "query")
        _make(place, copies)
        try:
            environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", **environ}
            room = Room(place.app, self._tools.engine.folder, place.uid, environ, extra={"/copy": copies})
            return await self._tools.run(room, [*SCRIPT, "{engine}/query.ts", *words], seconds)
        finally:
            await self._ground.trash.throw(copies)


def checked(sql: str) -> str:
    """The one statement in `sql`, without its semicolon.

    Raises:
        SteadyError: `sql_error` for none or several, `too_large`.
    """
    if len(sql.encode()) > SQL_BYTES_MAX:
        raise SteadyError("too_large", f"The SQL is longer than {SQL_BYTES_MAX >> 10} KiB.")
    found = statements(sql)
    if len(found) != 1 or "\0" in sql:
        said = "Send one statement at a time." if found else "There is no statement in it."
        raise SteadyError("sql_error", said)
    return found[0]


# Private


def _sent(params: Params) -> Any:
    """Parameters as JSON that keeps them exact."""
    if isinstance(params, Mapping):
        return {name: _sent_value(value) for name, value in params.items()}
    return [_sent_value(value) for value in params]


def _sent_value(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise SteadyError("invalid", "An integer has 64 bits at most.")
        return value if abs(value) < EXACT_BELOW else {"integer": str(value)}
    return value


def _make(place: Place, copies: Path) -> None:
    copies.mkdir(mode=0o700)
    if place.uid is not None:
        os.chown(copies, place.uid, place.uid)


def _problem(result: Result) -> SteadyError:
    """Why there is no answer."""
    if result.timed_out:
        message = f"It took longer than {QUERY_SECONDS_MAX:g} s and was ended. Ask for less, or make an index."
        return SteadyError("query_timeout", message)
    if result.ended.signal == "SIGKILL":
        return SteadyError("sql_error", f"It needed more memory than {MEMORY_BYTES_MAX >> 20} MiB and was ended.")
    if result.ended.signal is not None:
        return SteadyError("database_damaged", f"Reading the database ended with {result.ended}.")
    lines = result.last_lines(1)
    return SteadyError("sql_error", f"The query could not be run: {lines[-1] if lines else result.ended}")
