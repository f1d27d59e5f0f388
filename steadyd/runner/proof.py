"""What is wrong with the files in a developer's folder, before any of them is run: mistakes that stop a start, as a
deploy finds them, and those of types, which stop nothing."""

from __future__ import annotations

import re
from pathlib import Path

from steadyd.excerpt import excerpt
from steadyd.runner.bundle import OWN_CONFIGURATION, Fault, read_faults
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import SCRIPT, Tools

CHECK_SECONDS_MAX = 20.0
TYPES_SECONDS_MAX = 60.0
TYPE_FAULTS_MAX = 10
SOURCE_BYTES_MAX = 10 << 20
TYPED = ("tsconfig.json", "node_modules/@types/bun", "node_modules/bun-types")
"""One of them in the folder, and its types are meant: without the types of Bun everything is unknown."""
TYPE_FAULT = re.compile(r"^(?P<file>[^()\n]+)\((?P<line>\d+),(?P<column>\d+)\): error (?P<message>.+)$", re.MULTILINE)
"""As `bun check --no-pretty` and tsc print them."""


class Proof:
    """Reads one folder, by Bun's bundler and type checker."""

    def __init__(self, tools: Tools, folder: Path, environ: dict[str, str]) -> None:
        self._tools = tools
        self._folder = folder
        self._room = Room(folder, tools.engine.folder, None, environ)

    async def faults(self, entry: str) -> tuple[Fault, ...]:
        """What would stop `entry` from starting. A package that is missing does not: Bun fetches it at the start."""
        if not entry or (self._folder / OWN_CONFIGURATION).exists():
            return ()
        words = [*SCRIPT, "{engine}/check.ts", _escaped(entry)]
        result = await self._tools.run(self._room, words, CHECK_SECONDS_MAX)
        found = read_faults(result.answer().get("faults"))
        return tuple(fault for fault in found if not fault.specifier or fault.specifier.startswith((".", "/")))

    async def types(self, entry: str) -> tuple[tuple[Fault, ...], int]:
        """The first mistakes of types in `entry` and what it imports, and how many there are."""
        if not entry or not any((self._folder / name).exists() for name in TYPED):
            return (), 0
        words = ["check", "--no-pretty", "--no-script", "--all", _escaped(entry)]
        result = await self._tools.run(self._room, words, TYPES_SECONDS_MAX)
        found = list(TYPE_FAULT.finditer(result.output.decode("utf-8", "replace")))
        return tuple(self._type_fault(match) for match in found[:TYPE_FAULTS_MAX]), len(found)

    # Private

    def _type_fault(self, match: re.Match[str]) -> Fault:
        line, column = int(match["line"]), int(match["column"])
        return Fault(match["message"], match["file"], line, column, source_line(self._folder, match["file"], line))


def source_line(folder: Path, file: str, line: int) -> str:
    """One line of a file (from 1); "" where there is none."""
    try:
        with (folder / file).open("rb") as source:
            lines = source.read(SOURCE_BYTES_MAX).split(b"\n")
    except OSError:
        return ""
    return lines[line - 1].decode("utf-8", "replace") if 0 < line <= len(lines) else ""


def in_place(fault: Fault) -> list[str]:
    """A mistake as a person wants to see it: where and what, the line of source, a mark."""
    return [str(fault), *(f"  {line}" for line in excerpt(fault.source_line, fault.column))]


# Private


def _escaped(word: str) -> str:
    """A path as a word of `Tools.run`."""
    return word.replace("{", "{{").replace("}", "}}")
