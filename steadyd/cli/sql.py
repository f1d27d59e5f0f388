"""`steadyd sql`: an app's databases, by one query, a shell, or a file. The server decides what may be asked."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from steadyd.cli.server import uses_server
from steadyd.cli.shell import converse, history
from steadyd.cli.terminal import UNSAFE, milliseconds, note, print_json, print_table, safe_line
from steadyd.cli.transfers import MEDIA, Transfer, format_of, told
from steadyd.cli.verb import Failure, Verb, json_option
from steadyd.statement import open_comment, split, statements

if TYPE_CHECKING:
    from steadyd.cli.client import Client

HELP = """\
A statement ends with a semicolon, on this line or a later one. Without --write it may only read.
.tables          the tables and views
.schema [TABLE]  how they were made
.explain SELECT  how a statement would be done
.check           whether the database is whole
.history         what you asked before
.help            this
.quit            leave, as Ctrl-D does"""
TABLES = (
    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' "
    "AND substr(name, 1, 12) <> '_litestream_' ORDER BY 1"
)
SCHEMA = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (? = '' OR tbl_name = ?) ORDER BY tbl_name, type DESC"
CHECK_SECONDS_MAX = 90.0
READS = re.compile(r"(?is)\s*(?:SELECT|VALUES|EXPLAIN)\b[^;]*;?\s*\Z")
"""One statement that surely only reads: it needs no restore point, and not the app's turn."""

Answer = dict[str, Any]
Print = Callable[[Answer], None]


@click.command(cls=Verb)
@click.argument("name")
@click.argument("query", required=False)
@click.option("--database", metavar="FILE", help="Which database.  [default: the only one]")
@click.option("--write", is_flag=True, help="Let statements change the data, after a restore point.")
@click.option("--no-point", is_flag=True, help="Write without a restore point, where none can be made.")
@click.option("--explain", is_flag=True, help="Show how QUERY would be done, and do nothing.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--export", "target", metavar="FILE", help="Write QUERY, --table or all to FILE; its name says how.")
@click.option("--import", "source", metavar="FILE", help="Put a .csv, .sql or .sqlite FILE in, all of it or nothing.")
@click.option("--table", default="", metavar="TABLE", help="Which table is exported, or gets the rows of a CSV file.")
@click.option("--replace", is_flag=True, help="An imported database takes the place of all that is there.")
@uses_server
@json_option
def sql(
    client: Client, name: str, query: str | None, database: str | None, write: bool, explain: bool, as_csv: bool,
    target: str | None, source: str | None, table: str, replace: bool, no_point: bool, as_json: bool,
) -> None:  # fmt: skip
    """Read an app's database with SQL, or with --write change it: one QUERY, or a shell.

    The app may run or sleep meanwhile. Without a terminal, statements are read from standard input. What QUERY writes
    is one transaction, whole or not at all.
    """
    _check_usage(query, explain, target, source, (table, replace))
    show = print_json if as_json else _print_csv if as_csv else _print_table
    if source is not None:
        _put_in(Transfer(client, name, table, point=not no_point), database, source, replace, as_json)
        return
    base = Base(client, name, database or _only(client, name), write, not no_point)
    if target is not None:
        form = "csv" if as_csv else "json" if as_json else ""
        Transfer(client, name, table, query or "").take_out(base.file, target, form if target == "-" else "")
    elif query is not None and (write or explain):
        show(base.ask(query, explain=explain))
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
    point: bool = True

    def ask(self, sql: str, params: tuple[str, ...] = (), explain: bool = False, remember: bool = True) -> Answer:
        """What the statement finds.

        Raises:
            Refused: what the server has against it.
        """
        body: Answer = {"sql": sql, "params": list(params)}
        wishes = {"write": self.write and not READS.match(sql), "explain": explain}
        body |= {name: True for name, wished in wishes.items() if wished} | ({} if remember else {"remember": False})
        body |= {} if self.point else {"point": False}
        return self.client.call("POST", self._path("/query"), body, app=self.app)

    def check(self) -> Answer:
        """Whether the database is whole, as SQLite sees it."""
        return self.client.call("GET", self._path("/check?full=1"), app=self.app, seconds=CHECK_SECONDS_MAX)

    def asked(self) -> list[Answer]:
        """What was asked of this database before, the newest first."""
        from steadyd.cli.client import app_path

        found = self.client.call("GET", app_path(self.app, "/statements"), app=self.app)["statements"]
        return [each for each in found if each["file"] == self.file]

    def _path(self, rest: str) -> str:
        from steadyd.cli.client import app_path

        return app_path(self.app, f"/databases/{quote(self.file)}{rest}")


# Private


def _check_usage(
    query: str | None, explain: bool, target: str | None, source: str | None, of_files: tuple[str, bool]
) -> None:
    table, replace = of_files
    wrong = (
        (target is not None and source is not None, "--export and --import are two commands"),
        (source is not None and query is not None, "--import takes no QUERY"),
        (bool(table) and target is None and source is None, "--table goes with --export or --import"),
        (bool(table) and query is not None, "--table and QUERY are two ways to say what is exported"),
        (replace and source is None, "--replace goes with --import"),
        (explain and (query is None or target is not None), "--explain goes with a QUERY alone"),
    )
    for is_so, said in wrong:
        if is_so:
            raise click.UsageError(f"{said}.")


def _put_in(transfer: Transfer, database: str | None, source: str, replace: bool, as_json: bool) -> None:
    """A whole database comes under its own name, if it is to replace nothing."""
    whole = format_of(source, MEDIA) == "sqlite" and not replace
    file = database or (Path(source).name if whole else _only(transfer.client, transfer.app))
    answer = transfer.put_in(file, source, replace)
    if as_json:
        print_json(answer)
    else:
        note(told(answer))
        _tell_point(answer)


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

    how = "to read and to write" if base.write else "to read"
    note(f"{base.file} of {base.app}, {how}. Statements end with “;”. .help says more; Ctrl-D leaves.")
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
        _print_lines(base.ask(TABLES, remember=False))
    elif word == ".schema":
        _print_lines(base.ask(SCHEMA, (rest.strip(), rest.strip()), remember=False), ";")
    elif word == ".explain":
        show(base.ask(rest.rstrip().rstrip(";"), explain=True))
    elif word == ".check":
        _print_check(base.check())
    elif word == ".history":
        for each in reversed(base.asked()):
            click.echo(safe_line(each["sql"]))
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


def _print_check(answer: Answer) -> None:
    orphans = [
        f"{each['table']}, row {each['rowid']}: it names no row of {each['parent']}" for each in answer["orphans"]
    ]
    for line in [*answer["problems"], *orphans] or ["ok"]:
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
    elif "changes" in answer:
        changes = answer["changes"]
        note(f"{changes:,} row{'' if changes == 1 else 's'} changed, {milliseconds(answer['ms'])}")
        _tell_point(answer)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        note(f"{count} row{'' if count == 1 else 's'}, {milliseconds(answer['ms'])}")


def _tell_point(answer: Answer) -> None:
    if answer.get("point") is not None:
        note(f"What was before is restore point {answer['point']}.")


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, dict):
        return str(value.get("base64", ""))
    return str(value)
