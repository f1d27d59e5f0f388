"""SPECIFICATION.md is held to the code: every promise and limit names tests that exist, every limit its real value."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from steadyd.config import Config
from tests.test_house import ROOT, Source, sources, within

PROMISE = re.compile(r"^- \*\*(P[0-9]+\.[0-9]+)\*\* (.+)$")
LIMIT = re.compile(r"^\| (L[0-9]+) \| `([\w./:]+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
QUANTITY = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?) ?(KiB|MiB|GiB|min|h|d)?\b")
MULTIPLES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "min": 60, "h": 3_600, "d": 86_400}


NO_LIMITS = {
    "proxy.hosts.PORT_MAX": "a port number has 16 bits",
    "proxy.writer.JOINED_BYTES_MAX": "which of two ways to write is cheaper",
}
OUTSIDE = (
    "changes",
    "cli",
    "excerpt",
    "laptop",
    "runner.clock",
    "runner.local",
    "runner.proof",
    "runner.reload",
    "trial",
)
"""Where one person watches one command: its patience and its reading are limited too, and no promise to others."""


@dataclass(frozen=True)
class Entry:
    """A promise or a limit with the tests it names, as `path::function`. `name` and `value` are a limit's."""

    number: str
    tests: tuple[str, ...]
    name: str = ""
    value: str = ""


def entries(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        if promise := PROMISE.match(line):
            yield Entry(promise[1], _tests(promise[2]))
        elif limit := LIMIT.match(line):
            yield Entry(limit[1], _tests(limit[5]), limit[2], limit[3])


def _tests(text: str) -> tuple[str, ...]:
    return tuple(f"{path}::{name}" for path, name in TEST.findall(text))


def existing(found: Iterable[Source]) -> set[str]:
    """Every test of the suite, `path::function`, in classes too."""
    return {
        f"{source.path}::{node.name}"
        for source in found
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def unproven(found: Iterable[Entry], tests: set[str]) -> list[str]:
    """Entries that name no test, or one that is not there; numbers that are used twice or out of order."""
    found = list(found)
    complaints = [f"{entry.number}: names no test" for entry in found if not entry.tests]
    complaints += [f"{entry.number}: no {test}" for entry in found for test in entry.tests if test not in tests]
    for letter in "PL":
        keys = [tuple(map(int, e.number[1:].split("."))) for e in found if e.number.startswith(letter)]
        complaints += [f"{letter}{key}: twice or out of order" for last, key in itertools.pairwise(keys) if key <= last]
    return complaints


def limits_in_code(found: Iterable[Source]) -> dict[str, str]:
    """Limit → module: each `…_MAX` on the top level of a module, and each `…_max` of a dataclass, by its full name
    below steadyd: `runner.gate.WAITERS_MAX`, `proxy.limits.Limits.url_bytes_max`."""
    places: dict[str, str] = {}
    for source in found:
        for where, body in ((source.module, source.tree.body), *_classes(source)):
            for name in _assigned(body):
                if re.match(r"[A-Z].*_MAX$|[a-z].*_max$", name):
                    places[f"{where}.{name}".removeprefix("steadyd.")] = source.module
    return places


def _classes(source: Source) -> Iterator[tuple[str, list[ast.stmt]]]:
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            yield f"{source.module}.{node.name}", node.body


def _assigned(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that these statements give a value."""
    for node in body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            yield node.target.id


def quantity(text: str) -> float:
    """The first number of a cell with its multiple: `100 MiB` is 104,857,600, `15 min` is 900."""
    match = QUANTITY.search(text)
    assert match, f"no number in {text!r}"
    return float(match[1].replace(",", "")) * MULTIPLES[match[2] or ""]


def disagreements(found: Iterable[Entry], values: Mapping[str, float]) -> list[str]:
    """Limits whose value differs between document and code, and limits that only one of them knows."""
    stated = {entry.name: entry for entry in found if entry.name}
    complaints = [f"{name}: not in SPECIFICATION.md" for name in values.keys() - stated.keys()]
    complaints += [f"{name}: not in the code" for name in stated.keys() - values.keys()]
    for name in stated.keys() & values.keys():
        if quantity(stated[name].value) != values[name]:
            complaints.append(f"{name}: {stated[name].value} in SPECIFICATION.md, {values[name]} in the code")
    return sorted(complaints)


def values_in_code() -> dict[str, float]:
    values: dict[str, float] = {}
    for name, module in limits_in_code(sources("steadyd")).items():
        value = _value(importlib.import_module(module), f"steadyd.{name}".removeprefix(f"{module}.").split("."))
        if isinstance(value, int | float) and name not in NO_LIMITS and not within(name, OUTSIDE):
            values[name] = value
    for field in dataclasses.fields(Config):
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            values[f"Config.{field.name}"] = field.default
    return values


def _value(owner: object, names: Sequence[str]) -> object:
    """A module's constant, or the default of a class's field."""
    if len(names) == 1:
        return getattr(owner, names[0])
    inner = getattr(owner, names[0])
    if dataclasses.is_dataclass(inner):
        return {field.name: field.default for field in dataclasses.fields(inner)}[names[1]]
    return vars(inner)[names[1]]


def specification() -> list[Entry]:
    return list(entries((ROOT / "SPECIFICATION.md").read_text()))


def test_every_promise_and_limit_names_a_test_that_exists() -> None:
    assert unproven(specification(), existing(sources("tests"))) == []


def test_limits_are_what_the_code_says() -> None:
    assert disagreements(specification(), values_in_code()) == []


BAD = """
- **P1.2** Out of order. `tests/test_a.py::test_gone`
- **P1.1** Nothing proves it.
| L1 | `WAITERS_MAX` | 2,048 requests | refused | `tests/test_a.py::test_there` |
| L1 | `BODY_BYTES_MAX` | 100 MiB | 413 | `tests/test_a.py::test_there` |
"""


def test_unproven_entries_are_found() -> None:
    tests = existing([Source("tests/test_a.py", "def test_there(): ...")])
    assert unproven(entries(BAD), tests) == [
        "P1.1: names no test",
        "P1.2: no tests/test_a.py::test_gone",
        "P(1, 1): twice or out of order",
        "L(1,): twice or out of order",
    ]


def test_disagreements_are_found() -> None:
    assert disagreements(entries(BAD), {"WAITERS_MAX": 2048, "BODY_BYTES_MAX": 100 << 20}) == []
    assert disagreements(entries(BAD), {"WAITERS_MAX": 1, "OTHER_MAX": 1}) == [
        "BODY_BYTES_MAX: not in the code",
        "OTHER_MAX: not in SPECIFICATION.md",
        "WAITERS_MAX: 2,048 requests in SPECIFICATION.md, 1 in the code",
    ]


def test_limits_are_found_in_code() -> None:
    text = "X_MAX = 1\nY: int = 2\nZ_MAX: int = 3\n_MAX = 4\nclass C:\n    body_max: int = 5\n    other: int = 6"
    assert limits_in_code([Source("steadyd/a/b.py", text)]) == {
        "a.b.X_MAX": "steadyd.a.b",
        "a.b.Z_MAX": "steadyd.a.b",
        "a.b.C.body_max": "steadyd.a.b",
    }
