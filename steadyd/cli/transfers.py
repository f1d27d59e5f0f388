"""Files that `steadyd sql` takes out of an app's databases, or puts in: the file's name says of what kind it is."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from steadyd.cli.terminal import note
from steadyd.cli.verb import Failure

if TYPE_CHECKING:
    from steadyd.cli.client import Client

FORMATS = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".sql": "sql",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}
"""The end of a file's name → how it is written."""
MEDIA = {"csv": "text/csv", "sql": "application/sql", "sqlite": "application/vnd.sqlite3"}
IMPORT_BYTES_MAX = 100 << 20
"""What a server takes; a larger file is not even read."""
IMPORT_SECONDS_MAX = 180.0
STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class Transfer:
    """What goes where: `table` or `query` of a database, or all of it."""

    client: Client
    app: str
    table: str = ""
    query: str = ""
    point: bool = True
    """Make a restore point before an import."""

    def take_out(self, file: str, target: str, form: str = "") -> None:
        """Write an export to `target`, which appears when it is whole; "-" is standard output, as `form` or SQL.

        Raises:
            Failure: it cannot be had, or not be written.
        """
        form = form or ("sql" if target == STANDARD_OUTPUT else format_of(target, FORMATS.values()))
        params = {"format": form, "table": self.table, "sql": self.query}
        given = {name: value for name, value in params.items() if value}
        path = _path(self.app, file, "export")
        if target == STANDARD_OUTPUT:
            self.client.fetch(path, given, self.app, sys.stdout.buffer)
            sys.stdout.flush()
            return
        part = Path(f"{target}.part")
        try:
            with part.open("wb") as into:
                self.client.fetch(path, given, self.app, into)
                size = into.tell()
            os.replace(part, target)
        except OSError as error:
            raise Failure(f"{target} cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        note(f"{target}: {size:,} bytes")

    def put_in(self, file: str, source: str, replace: bool) -> dict[str, Any]:
        """Send `source` into a database; what the server says of it.

        Raises:
            Failure: it cannot be read, or the server has something against it: then nothing was changed.
        """
        form = format_of(source, MEDIA)
        try:
            if os.stat(source).st_size > IMPORT_BYTES_MAX:
                raise Failure(f"{source} is larger than the {IMPORT_BYTES_MAX >> 20} MiB that a server takes")
            content = Path(source).read_bytes()
        except OSError as error:
            raise Failure(f"{source} cannot be read: {error.strerror}") from None
        query = {"format": form} | ({"replace": "1"} if replace else {}) | ({} if self.point else {"point": "0"})
        if form == "csv":
            query["table"] = self.table or Path(source).stem
        path = f"{_path(self.app, file, 'import')}?{urlencode(query)}"
        return self.client.call("POST", path, content, self.app, IMPORT_SECONDS_MAX, MEDIA[form])


def format_of(path: str, known: Any) -> str:
    """How a file is written, by its name.

    Raises:
        UsageError: it does not say.
    """
    form = FORMATS.get(Path(path).suffix.lower(), "")
    if form not in known:
        ends = ", ".join(end for end, each in FORMATS.items() if each in known)
        raise click.UsageError(f"The name “{path}” does not say how the file is written; it ends with one of {ends}.")
    return form


def told(answer: dict[str, Any]) -> str:
    """What an import did, in a sentence."""
    if "statements" in answer:
        return f"{answer['statements']:,} statements were run."
    if "table" not in answer:
        return "The database was put in."
    said = f"{answer['rows']:,} rows were put into {answer['table']}"
    if not answer["created"]:
        return f"{said}."
    columns = ", ".join(f"{each['name']} {each['type']}" for each in answer["columns"])
    return f"{said}, which was made: {columns}."


# Private


def _path(app: str, file: str, what: str) -> str:
    from steadyd.cli.client import app_path

    return app_path(app, f"/databases/{quote(file)}/{what}")
