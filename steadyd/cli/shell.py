"""Reading what a person types, line by line: editing, history and entries of several lines, for `sql` and `repl`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steadyd.cli.settings import config_folder
from steadyd.cli.verb import Failure

HISTORY_LINES_MAX = 1_000
ENTRY_BYTES_MAX = 64 << 10


@contextmanager
def history(name: str) -> Iterator[None]:
    """Arrow keys, search and a history that stays, in `NAME.history` of the config folder, for its owner's eyes only.

    Where this Python has no readline, or nobody types, there is none of it.
    """
    if not sys.stdin.isatty():
        yield
        return
    try:
        import readline
    except ImportError:
        yield
        return
    path = config_folder(os.environ) / f"{name}.history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES_MAX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _private(path)
            readline.write_history_file(path)
        readline.clear_history()


def converse(prompt: str, more: str, take: Callable[[str], bool]) -> None:
    """Hand what is typed to `take`, entry by entry, until the end of input (Ctrl-D) or an `EOFError` of it.

    `take` answers false to an entry that goes on: it gets it again, with the next line. At the end of input, what is
    not taken yet is offered once more. Ctrl-C gives up what is being typed. Without a terminal there are no prompts.
    """
    typed = ""
    with contextlib.suppress(EOFError):
        while True:
            try:
                line = _line(more if typed else prompt)
            except KeyboardInterrupt:
                print()
                typed = ""
                continue
            except EOFError:
                break
            typed = f"{typed}\n{line}" if typed else line
            if len(typed.encode("utf-8", "replace")) > ENTRY_BYTES_MAX:
                raise Failure(f"an entry may have {ENTRY_BYTES_MAX >> 10} KiB")
            if not typed.strip() or take(typed):
                typed = ""
        if typed:
            take(typed)
    if sys.stdin.isatty():
        print()


# Private


def _line(prompt: str) -> str:
    if sys.stdin.isatty():
        return input(prompt)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _private(path: Path) -> None:
    """The file, there and 0600, before anything is in it: what was typed may hold secrets."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
