"""An app's databases, running or asleep. What the app wrote is hostile: only a child opens it, as the app, in the
sandbox, and what the child says is believed no more than the app is."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadyd.errors import SteadyError
from steadyd.model import App
from steadyd.runner.folder import Place, make_own, scratch_path
from steadyd.runner.ground import Ground, nothing_live
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import FILE_BYTES_MAX, SCRIPT, Bounds, Result, Tools
from steadyd.statement import statements

QUERY_SECONDS_MAX = 5.0
"""With the start of the child."""
LIST_SECONDS_MAX = 5.0
CHECK_SECONDS_MAX = 60.0
MEMORY_BYTES_MAX = 256 << 20
SQL_BYTES_MAX = 64 << 10
PARAMS_BYTES_MAX = 32 << 10
ROWS_MAX = 1_000
ROWS_BYTES_MAX = 1 << 20
"""As JSON."""
ANSWER_BYTES = ROWS_BYTES_MAX + (256 << 10)
"""Rows, and the names of their columns."""
UNLIMITED_FILE_BYTES = 1 << 44
"""Where the app has no limit either."""
EXACT_BELOW = 2**53
"""Beyond it a JSON number is not an integer any more to everybody who reads it."""

MESSAGE_CHARACTERS_MAX = 2_000
LIST = "list"
"""The task that says twice what it finds: first what it has not opened."""
WRITES = ("write", "edit", "import")
"""The tasks that write."""
UNSEEN = "written"
"""In the details of what ended a child that writes, before it could say whether it had."""
CODES = frozenset(
    {"conflict", "database_damaged", "disk_full", "invalid", "not_found", "row_changed", "sql_error", "too_large"}
)
"""What a child may say."""

Value = None | int | float | str | bytes | Mapping[str, Any]
"""As it is bound; an object is one of harness/value.ts, as it stands."""
Params = Sequence[Value] | Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Found:
    """A database in an app's folder. `modified_at` is in seconds since 1970; what could not be looked at is None."""

    path: str
    size_bytes: int
    modified_at: float
    wal_bytes: int = 0
    tables: int | None = None
    readers: int | None = None
    """How many marks of the log's index somebody holds."""
    behind_frames: int | None = None
    """How many pages were written since the oldest of them began."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query found. A BLOB is `{"base64": …}`; an integer beyond 2^53 and an infinity are texts."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    milliseconds: float
    changes: int = 0
    statements: int = 1


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is asked to do: `name` and `request` as harness/query.ts has them, and for how long at most."""

    name: str
    request: Mapping[str, Any]
    seconds: float


class Databases:
    """Finds, reads and changes the databases of apps."""

    def __init__(self, ground: Ground, tools: Tools) -> None:
        self._ground = ground
        self._tools = tools

    async def of(self, app: App) -> tuple[list[Found], bool]:
        """The databases in the app's folder, known by their content, and whether there are more than were looked at.

        Raises:
            SteadyError: `query_timeout` for a folder that takes too long.
        """
        answer = await self.ask(app, Task(LIST, {}, LIST_SECONDS_MAX))
        found = [_found(item) for item in answer["databases"]]
        return sorted(found, key=lambda each: each.path), bool(answer["more"])

    async def read(self, app: App, file: str, sql: str, params: Params = ()) -> Rows:
        """Run one statement that reads, on the database in `file`.

        Raises:
            SteadyError: `not_found`, `sql_error`, `database_damaged`, `query_timeout` or `too_large`.
        """
        return rows_of(await self.ask(app, Task("read", query(file, checked(sql), params), QUERY_SECONDS_MAX)))

    async def ask(self, app: App, task: Task) -> dict[str, Any]:
        """What the child answers.

        Raises:
            SteadyError: `not_found`, `conflict`, `sql_error`, `database_damaged`, `query_timeout`, `disk_full`,
                `row_changed`, `too_large` or `invalid`, as the task has it.
        """
        async with self.folder(app) as folder:
            return await self.run(app, task, folder)

    @asynccontextmanager
    async def folder(self, app: App) -> AsyncIterator[Path]:
        """A folder for a child of the app's: what it is sent, and what it makes."""
        self._ground.check_may_run(app)
        place = self._ground.place(app)
        if not place.app.is_dir():
            raise nothing_live(app)
        folder = scratch_path(place, "query")
        make_own(folder, place.uid)
        try:
            yield folder
        finally:
            await self._ground.trash.throw(folder)

    async def run(self, app: App, task: Task, folder: Path) -> dict[str, Any]:
        """As `ask`, in a folder of `folder`'s that may hold more, and that is still there afterwards."""
        place = self._ground.place(app)
        text = json.dumps({"task": task.name, **task.request}, ensure_ascii=False).encode("utf-8", "replace")
        _put(folder / "request.json", text, place)
        environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}
        tools = self._tools.within(Bounds(MEMORY_BYTES_MAX, ANSWER_BYTES, _file_bytes(app)))
        room = Room(place.app, tools.engine.folder, place.uid, environ, extra={"/copy": folder})
        result = await tools.run(room, [*SCRIPT, "{engine}/query.ts", "{copy}"], task.seconds)
        answer = result.answer()
        if not answer or (result.timed_out and task.name != LIST):
            raise _problem(result, task)
        if error := answer.get("error"):
            raise _told(error, task)
        return answer


def query(file: str, sql: str, params: Params) -> dict[str, Any]:
    """The request for SQL on one database, with what its answer may hold.

    Raises:
        SteadyError: `too_large`, `invalid`.
    """
    values = _sent(params)
    if len(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")) > PARAMS_BYTES_MAX:
        raise SteadyError("too_large", f"The parameters are longer than {PARAMS_BYTES_MAX >> 10} KiB.")
    return {"file": file, "sql": sql, "params": values, "rows": ROWS_MAX, "bytes": ROWS_BYTES_MAX}


def several(sql: str) -> str:
    """SQL of one statement or more, within its bounds.

    Raises:
        SteadyError: `sql_error` for none, `too_large`.
    """
    if len(sql.encode("utf-8", "replace")) > SQL_BYTES_MAX:
        raise SteadyError("too_large", f"The SQL is longer than {SQL_BYTES_MAX >> 10} KiB. Import it as a file.")
    if "\0" in sql or not statements(sql):
        raise SteadyError("sql_error", "There is no statement in it.")
    return sql


def rows_of(answer: Mapping[str, Any]) -> Rows:
    """What a child found with SQL."""
    more = (int(answer.get("changes", 0)), int(answer.get("statements", 1)))
    return Rows(answer["columns"], answer["rows"], bool(answer["truncated"]), float(answer["ms"]), *more)


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


def sent(value: Value) -> Any:
    """A value as JSON that keeps it exact.

    Raises:
        SteadyError: `invalid` for an integer beyond 64 bits.
    """
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"real": "Infinity" if value > 0 else "-Infinity"}
        return {"real": repr(value)} if value.is_integer() else value  # JSON's readers would make an integer of it
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise SteadyError("invalid", "An integer has 64 bits at most.")
        return value if abs(value) < EXACT_BELOW else {"integer": str(value)}
    return value


# Private


def _sent(params: Params) -> Any:
    if isinstance(params, Mapping):
        return {name: sent(value) for name, value in params.items()}
    return [sent(value) for value in params]


def _file_bytes(app: App) -> int:
    """How large a file may become: as the app's own may, and an export at least."""
    return max(app.limits.disk_bytes, FILE_BYTES_MAX) if app.limits.disk_bytes else UNLIMITED_FILE_BYTES


def _put(path: Path, content: bytes, place: Place) -> None:
    """A new file of the app's in its scratch folder, which no app can reach."""
    path.write_bytes(content)
    if place.uid is not None:
        os.chown(path, place.uid, place.uid)


def _found(item: Mapping[str, Any]) -> Found:
    log = item.get("log", {})
    return Found(
        path=item["path"], size_bytes=item["size_bytes"], modified_at=item["modified_ms"] / 1000,
        wal_bytes=log.get("wal_bytes", 0), tables=item.get("tables"), readers=log.get("readers"),
        behind_frames=log.get("behind"), problem=item.get("problem", ""),
    )  # fmt: skip


def _told(error: Mapping[str, Any], task: Task) -> SteadyError:
    """What the child says went wrong: one of the codes that it may use."""
    code = error.get("code") if error.get("code") in CODES else "sql_error"
    details = {**(error.get("details") or {}), **({"file": task.request["file"]} if "file" in task.request else {})}
    return SteadyError(str(code), str(error.get("message", ""))[:MESSAGE_CHARACTERS_MAX], details)


def _problem(result: Result, task: Task) -> SteadyError:
    """Why there is no answer."""
    code, said = _why(result, task)
    if task.name not in WRITES:
        return SteadyError(code, said)
    said += " Its transaction is in the database whole, or not at all."
    return SteadyError(code, said, {UNSEEN: "whole, or not at all"})


def _why(result: Result, task: Task) -> tuple[str, str]:
    if result.timed_out:
        return "query_timeout", f"It took longer than {task.seconds:g} s and was ended. Ask for less, or make an index."
    if result.ended.signal == "SIGKILL":
        return "sql_error", f"It needed more memory than {MEMORY_BYTES_MAX >> 20} MiB and was ended."
    if result.ended.signal is not None:
        return "database_damaged", f"Reading the database ended with {result.ended}."
    lines = result.last_lines(1)
    return "sql_error", f"The query could not be run: {lines[-1] if lines else result.ended}"
