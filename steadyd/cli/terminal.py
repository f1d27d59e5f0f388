"""What the terminal gets to see: tables, times and sizes, and never a control character that somebody else wrote."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

# C0 (without tab), DEL and C1 drive the terminal; the others reorder what a person reads or break lines.
UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_line(text: str) -> str:
    """`text` as one line that cannot move the cursor: control characters are shown as escapes such as `\\x1b`."""
    return UNSAFE.sub(_escape, text)


def print_json(value: Any, compact: bool = False) -> None:
    """`value` as JSON: indented, or on one line for streams."""
    text = json.dumps(value, ensure_ascii=False, indent=None if compact else 2)
    # Line breaks of the layout stay; anything unsafe that is left can only stand inside a string.
    click.echo("\n".join(UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", line) for line in text.split("\n")))


def note(text: str) -> None:
    """A line about progress, beside the command's result: on stderr."""
    click.echo(safe_line(text), err=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], as_they_are: bool = False) -> None:
    """Rows under headings: fitted to a terminal, plain aligned columns anywhere else. Headings are in capitals
    there, or `as_they_are`."""
    columns = [safe_line(column) for column in columns]
    clean = [[safe_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, clean)
        return
    table = [columns if as_they_are else [column.upper() for column in columns], *clean]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_pairs(pairs: Mapping[str, str]) -> None:
    """One `label  value` line per pair; empty values are left out."""
    width = max((len(label) for label in pairs), default=0)
    for label, value in pairs.items():
        if value:
            click.echo(f"{label.ljust(width)}  {safe_line(value)}")


def clock(moment: object) -> str:
    """A time of the API (ISO text or seconds since 1970) as local time with milliseconds; "" for none."""
    parsed = _parse(moment)
    return parsed.astimezone().strftime("%H:%M:%S.%f")[:-3] if parsed else ""


def date(moment: object) -> str:
    """A time of the API as local date and time; "" for none."""
    parsed = _parse(moment)
    return parsed.astimezone().strftime("%Y-%m-%d %H:%M:%S") if parsed else ""


def size(count: float) -> str:
    """Bytes in the largest fitting unit: `812 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def milliseconds(value: object) -> str:
    """A duration in ms as people read it: `0.4 ms`, `31 ms`, `2.1 s`."""
    if not isinstance(value, int | float):
        return ""
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


# Private


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _parse(moment: object) -> datetime | None:
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC)
    try:
        return datetime.fromisoformat(str(moment))
    except ValueError:
        return None


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
