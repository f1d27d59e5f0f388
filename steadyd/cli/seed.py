"""A database of a folder as one file's content: what a deploy ships to an app that has none of that name yet."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from urllib.parse import quote

from steadyd.errors import SteadyError

WRITE_VERSION = 18
"""Offset in the header: 2 for write-ahead logging (https://www.sqlite.org/fileformat.html, "File format version")."""
WAL = 2


def seed(path: str, shown: str) -> bytes:
    """The database at `path` as of now, with what its write-ahead log holds, whoever uses it meanwhile.

    Raises:
        SteadyError: `invalid_path`, if it is damaged or cannot be read. It is called `shown` there.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?{_how(path)}", uri=True)) as database:
            return database.serialize()
    except (sqlite3.Error, OSError) as error:
        raise SteadyError("invalid_path", f"cannot read the database “{shown}”: {error}", {"path": shown}) from None


# Private


def _how(path: str) -> str:
    """One with a write-ahead log but no such file is open nowhere, and reading it the usual way would make the file."""
    with open(path, "rb") as file:
        header = file.read(WRITE_VERSION + 1)
    logged = header[WRITE_VERSION:] == bytes((WAL,))
    return "mode=ro&immutable=1" if logged and not os.path.exists(f"{path}-wal") else "mode=ro"
