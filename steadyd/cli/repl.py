"""`steadyd repl`: TypeScript, typed here and evaluated in the app's sandbox, beside its databases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import click

from steadyd.cli.server import uses_server
from steadyd.cli.shell import converse, history
from steadyd.cli.terminal import note, print_json, safe_line
from steadyd.cli.verb import Failure, Verb, json_option

if TYPE_CHECKING:
    from steadyd.cli.client import Client

ANEW = "A new one has begun: what the last one knew is gone."

Event = dict[str, Any]
Show = Callable[[Event], None]


@click.command(cls=Verb)
@click.argument("name")
@uses_server
@json_option
def repl(client: Client, name: str, as_json: bool) -> None:
    """Evaluate TypeScript in an app's sandbox, with its databases, variables and modules.

    It is a process of its own beside the app's, and ends with it. Ctrl-C stops what is evaluated, Ctrl-D leaves.
    Without a terminal, standard input is evaluated as one entry.
    """
    talk = Talk(client, name, _print_json if as_json else _print)
    try:
        if sys.stdin.isatty():
            _converse(talk)
        else:
            _evaluate(talk, sys.stdin.read())
    finally:
        talk.close()


class Over(Failure):
    """The REPL has ended, and why."""


class Talk:
    """One REPL on the server, for as long as its answer is read."""

    def __init__(self, client: Client, app: str, show: Show) -> None:
        self.app = app
        self._client = client
        self._show = show
        self.open()

    def open(self) -> None:
        """Begin a REPL; the last one's answer has ended."""
        from steadyd.cli.client import app_path

        path = app_path(self.app, "/repl")
        self._events: Generator[Event, None, None] = self._client.stream(path, {}, self.app, method="POST")
        ready = next(self._events, {})
        self.about = str(ready.get("text", ""))
        self._path = f"{path}/{ready.get('session', '')}"

    def enter(self, code: str) -> Event:
        """Have `code` evaluated, show what it prints and what comes of it, and return that event.

        Raises:
            Over: the REPL ended meanwhile, or had before.
            Failure: the server has something against it.
        """
        from steadyd.cli.client import Refused

        try:
            self._client.call("POST", self._path, {"code": code}, app=self.app)
        except Refused as refused:
            if refused.code not in ("not_found", "conflict"):
                raise
        for event in self._events:
            if event["event"] == "ended":
                raise Over(str(event["text"]))
            self._show(event)
            if event["event"] != "output":
                return event
        raise Over("The server ended it.")

    def close(self) -> None:
        self._events.close()


# Private


def _converse(talk: Talk) -> None:
    def take(entry: str) -> bool:
        if entry.strip() in (".exit", ".quit"):
            raise EOFError
        try:
            return bool(talk.enter(entry)["event"] != "incomplete")
        except KeyboardInterrupt:
            talk.close()
            begin_anew("Stopped.")
        except Over as over:
            begin_anew(over.message)
        return True

    def begin_anew(why: str) -> None:
        note(why)
        talk.open()
        note(ANEW)

    note(f"{talk.app}, {talk.about}. Ctrl-C stops what is evaluated; Ctrl-D leaves.")
    with history("repl"):
        converse(f"{talk.app}> ", "." * len(talk.app) + "> ", take)


def _evaluate(talk: Talk, code: str) -> None:
    event = talk.enter(code) if code.strip() else {"event": "nothing"}
    if event["event"] == "incomplete":
        raise Failure("SyntaxError: it ends in the middle")
    if event["event"] == "error":
        raise Failure(str(event["text"]).partition("\n")[0])


def _print(event: Event) -> None:
    text = "\n".join(safe_line(line) for line in str(event["text"]).split("\n"))
    if event["event"] == "output":
        click.echo(text, nl=False)
    elif event["event"] == "value" or (event["event"] == "error" and sys.stdin.isatty()):
        click.echo(text)
    elif event["event"] == "error":  # its first line is told at the end
        for line in text.split("\n")[1:]:
            note(line)


def _print_json(event: Event) -> None:
    print_json({"event": event["event"], "text": event["text"]}, compact=True)
