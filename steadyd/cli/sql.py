"""`steadyd sql`: reading an app's databases, one query or a shell. The server decides what may be asked."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from steadyd.cli.server import uses_server
from steadyd.cli.shell import converse, history
from steadyd.cli.terminal import UNSAFE, milliseconds, note, print_json, print_table, safe_line
from steadyd.cli.verb import Failure, Verb, json_option
from steadyd.statement import open_comment, split, statements

if TYPE_CHECKING:
    from steadyd.cli.client import Client

HELP = """\
A statement ends with a semicolon, on this line or a later one. It may read, not write.
.tables          the tables and views
.schema [TABLE]  how they were made
.help            this
.quit            leave, as Ctrl-D does"""
TABLES = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY 1"
SCHEMA = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (? = '' OR tbl_name = ?) ORDER BY tbl_name, type DESC"

Answer = dict[str, Any]
Print = Callable[[Answer], None]


@click.command(cls=Verb)
@click.argument("name")
@click.argument("query", required=False)
@click.option("--database", metavar="FILE", help="Which database.  [default: the only one]")
@click.option("--write", is_flag=True, help="Let statements change the data, after a restore point.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@uses_server
@json_option
def sql(
    client: Client, name: str, query: str | None, database: str | None, write: bool, as_csv: bool, as_json: bool
) -> None:
    """Read an app's database with SQL: one QUERY, or a shell.

    The app may run or sleep meanwhile. Without a terminal, statements are read from standard input.
    """
    show = print_json if as_json else _print_csv if as_csv else _print_table
    base = Base(client, name, database or _only(client, name), write)
    if query is not None and write:
        show(base.ask(query))
    elif query is not None:
        for statement in statements(query) or [query]:
            show(base.ask(statement))
    elif sys.stdin.isatty():
        _shell(base, show)
    else:
        _pipe(base, show)


@dataclass(frozen=True, slots=True)
class Base:
    """One database of one app on one server."""

    client: Client
    app: str
    file: str
    write: bool = False

    def ask(self, sql: str, params: tuple[str, ...] = ()) -> Answer:
        """What the statement finds.

        Raises:
            Refused: what the server has against it.
        """
        from steadyd.cli.client import app_path

        path = app_path(self.app, f"/databases/{quote(self.file)}/query")
        body = {"sql": sql, "params": list(params)} | ({"write": True} if self.write else {})
        return self.client.call("POST", path, body, app=self.app)


# Private


def _only(client: Client, name: str) -> str:
    """The app's database, where it has one."""
    from steadyd.cli.client import app_path

    answer = client.call("GET", app_path(name, "/databases"), app=name)
    found = [str(each["path"]) for each in answer.get("databases") or []]
    if not found:
        raise Failure(f"“{name}” has no database yet: it is there once the app has made one")
    if len(found) > 1:
        raise Failure(f"“{name}” has several databases; choose one with --database: {', '.join(found)}")
    return found[0]


def _shell(base: Base, show: Print) -> None:

    def take(entry: str) -> bool:
        if not _is_whole(entry):
            return False
        try:
            _run(base, entry, show)
        except Failure as failure:
            note(failure.message)
        return True

    note(f"{base.file} of {base.app}, to read. Statements end with “;”. .help says more; Ctrl-D leaves.")
    with history("sql"):
        converse(f"{base.app}> ", "." * len(base.app) + "> ", take)


def _pipe(base: Base, show: Print) -> None:
    """What one would type, from standard input; the first that fails is the end."""
    with contextlib.suppress(EOFError):
        for entry in entries(sys.stdin.read()):
            _run(base, entry, show)


def entries(text: str) -> Iterator[str]:
    """What the shell would take at once: a statement, or a line that begins with a dot where none has begun."""
    begun = ""
    for line in text.splitlines(keepends=True):
        begun += line
        if _is_whole(begun):
            yield from [begun] if begun.lstrip().startswith(".") else statements(begun)
            begun = ""
    yield from statements(begun)


def _is_whole(text: str) -> bool:
    return text.lstrip().startswith(".") or (not split(text)[1] and not open_comment(text))


def _run(base: Base, entry: str, show: Print) -> None:
    word, _, rest = entry.strip().partition(" ")
    if not word.startswith("."):
        for statement in statements(entry):
            show(base.ask(statement))
    elif word == ".tables":
        _print_lines(base.ask(TABLES))
    elif word == ".schema":
        _print_lines(base.ask(SCHEMA, (rest.strip(), rest.strip())), ";")
    elif word in (".quit", ".exit"):
        raise EOFError
    elif word == ".help":
        click.echo(HELP)
    else:
        raise Failure(f"there is no “{word}”; .help lists what there is")


def _print_lines(answer: Answer, end: str = "") -> None:
    for row in answer["rows"]:
        for line in f"{row[0]}{end}".splitlines():
            click.echo(safe_line(line))


def _print_table(answer: Answer) -> None:
    if answer["columns"]:
        print_table(answer["columns"], [[_cell(value) for value in row] for row in answer["rows"]], as_they_are=True)
    _tell(answer)


def _print_csv(answer: Answer) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer["columns"])
    writer.writerows([["" if value is None else _cell(value) for value in row] for row in answer["rows"]])
    on_screen = sys.stdout.isatty()
    for line in text.getvalue().split("\n")[:-1]:
        click.echo(UNSAFE.sub("", line) if on_screen else line)
    _tell(answer)


def _tell(answer: Answer) -> None:
    """What is not in the result itself."""
    count = len(answer["rows"])
    if answer["truncated"]:
        note(f"Only the first {count} rows: there are more. LIMIT and OFFSET get the others.")
    elif sys.stdin.isatty() and sys.stdout.isatty():
        note(f"{count} row{'' if count == 1 else 's'}, {milliseconds(answer['ms'])}")


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, dict):
        return str(value.get("base64", ""))
    return str(value)
