"""Whatever an app leaves in its folder, and however fast it changes: everything that reads the folder ends in time,
says what is wrong, shows no foreign byte, and costs the daemon and its neighbours nothing.

What is called is every operation of the API that is about data, with the request that tests/web/calls.py has for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from steadyd.backup.standing import Standing
from steadyd.backup.survey import Survey
from steadyd.runner.folder import Place
from steadyd.runner.kept import standing as kept_standing
from steadyd.runner.positions import databases, positions
from tests.e2e.arena import app_folder
from tests.mutants import ENDLESS, good, mutants, script
from tests.served import Daemon
from tests.web.calls import APP, CALLS, KEEPING, nothing

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.patient,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root gives each app a uid of its own"),
]

SECRET = "secret-of-the-victim"
NAMED = hashlib.sha256(SECRET.encode()).hexdigest().encode()
"""As a list of captured files names it."""
CALL_SECONDS_MAX = 30.0
"""On a busy machine: a query's own deadline, a copy, a start."""
ABOUT_DATA = re.compile(r"/(databases|fork|archive|backups|restore|drills|captures)\b")
LEFT_OUT = frozenset({f"GET {APP}/versions/{{n}}/archive"})
"""They read no folder of an app."""
FURTHER: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/apps/{name}/backups/moment?at=now", None),
    ("POST", "/apps/{name}/restore", {"at": "now"}),
    ("POST", "/apps/{name}/fork", {"name": "{fresh}", "at": "now"}),
)
PAGES = ("databases", "databases/{file}", "backups", "changed")
CALLERS = 2
SWAPS_SECONDS = 3.0
MUTANTS = 30
SOAK_MUTANTS = 300
FILES = 1_000
SOAK_FILES = 10_000
SOAK_SECONDS = 120.0
TRUE = {200, 201, 204, 404, 409, 413, 422, 503, 507}
"""What may be answered: done, or what is wrong with it. Never that something went wrong with us."""


@dataclass(frozen=True)
class Folder:
    """The folder of an app that its owner makes unpleasant. What is put there is the app's own."""

    daemon: Daemon
    name: str
    path: Path
    uid: int

    def own(self, path: Path) -> Path:
        os.chown(path, self.uid, self.uid, follow_symlinks=False)
        return path

    def write(self, name: str, content: bytes) -> Path:
        path = self.path / name
        path.write_bytes(content)
        return self.own(path)


@pytest.fixture
def wicked(attacked: Daemon, request: pytest.FixtureRequest) -> Iterator[Folder]:
    """A fresh app beside a victim with a secret, under the arena's eyes."""
    with contextlib.suppress(AssertionError):
        make_victim(attacked)
    name = f"wicked-{os.urandom(3).hex()}"
    attacked.create(name, {"index.ts": KEEPING.decode(), f"{name}.txt": "mine"})
    path = Path(app_folder(attacked, name))
    yield Folder(attacked, name, path, (path / "data.sqlite").stat().st_uid)
    for app in attacked.api("GET", "/apps").json()["apps"]:
        if app["name"] not in ("victim", "neighbour"):
            attacked.api("DELETE", f"/apps/{app['name']}?purge=1")
    assert foreign(attacked) == []


def make_victim(daemon: Daemon) -> None:
    source = 'import { Database } from "bun:sqlite";\nconst db = new Database("data.sqlite");\n'
    source += f'db.run("CREATE TABLE t (x)");\ndb.run("INSERT INTO t VALUES (\'{SECRET}\')");\n'
    source += f'await Bun.write("own.txt", "{SECRET}");\nexport default {{ fetch: () => new Response("well") }};'
    daemon.create("victim", {"index.ts": source, "victim.txt": "mine"})


def foreign(daemon: Daemon) -> list[str]:
    """Files of the data folder that hold the victim's secret, or the host's, and are not the victim's own."""
    victim, telling = Path(app_folder(daemon, "victim")).parent, (SECRET.encode(), shadow(), b'["%b"' % NAMED)
    found = []
    for folder, _, names in os.walk(daemon.data):
        if victim.name in folder.split("/"):
            continue  # itself, and its replica
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 << 20:
                    content = path.read_bytes()
                    if any(word in content for word in telling) and not is_the_victims(content):
                        found.append(str(path.relative_to(daemon.data)))
    return found


def is_the_victims(content: bytes) -> bool:
    """Its code, its file, and the list of its files are contents like any other's. Nobody else's list has that file."""
    return b"export default" in content or content == SECRET.encode() or content.count(b'"own.txt":["%b"' % NAMED) == 1


def shadow() -> bytes:
    return Path("/etc/shadow").read_bytes().splitlines()[0]


def requests_of(files: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Method, path below /api and JSON of each call about data, for each of `files` where it is about one; pages."""
    for page in PAGES:
        for file in files if "{file}" in page else ("",):
            yield "GET", f"/../apps/{{name}}/{page.replace('{file}', quote(os.fsencode(file), safe=''))}", None
    for method, path, body in FURTHER:
        yield method, path, {**body, **({"name": fresh()} if "name" in body else {})} if body else None
    for operation, row in CALLS.items():
        if not ABOUT_DATA.search(operation) or operation in LEFT_OUT or row.prepare is not nothing:
            continue
        method, path = operation.split(" ")
        for file in files if "{file}" in path else ("",):
            words = {
                "name": "{name}",
                "file": quote(os.fsencode(file), safe=""),
                "fresh": fresh(),
            }
            full = path.removeprefix("/api").format(**{"n": "1", **row.path, **words})
            query = f"?{row.query}" if row.query else ""
            body = {key: words["fresh"] if value == "{fresh}" else value for key, value in (row.body or {}).items()}
            yield method, full + query, body if row.body is not None else None


def fresh() -> str:
    return f"wicked-{os.urandom(3).hex()}"


def call(folder: Folder, method: str, path: str, body: Any) -> httpx.Response:
    """One call: in time, and neither our fault nor anybody's secret."""
    began = time.monotonic()
    answer = folder.daemon.api(method, path.replace("{name}", folder.name), json=body)
    seconds, what = time.monotonic() - began, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    assert seconds < CALL_SECONDS_MAX, f"{what} after {seconds:.1f} s"
    assert answer.status_code in TRUE, what
    assert SECRET.encode() not in answer.content, what
    assert shadow() not in answer.content, what
    if answer.status_code >= 400 and answer.headers["content-type"] == "application/json":
        assert answer.json()["error"]["code"] != "internal", what
    return answer


def call_all(folder: Folder, files: Sequence[str], rounds: Callable[[], bool]) -> int:
    """Every call, several at a time, round after round while `rounds` says so."""
    done = 0
    with ThreadPoolExecutor(CALLERS) as callers:
        while rounds():
            todo = list(requests_of(files))
            assert len(todo) >= 3
            done += len(list(callers.map(lambda each: call(folder, *each), todo)))
            for app in folder.daemon.api("GET", "/apps").json()["apps"]:
                if app["name"] not in ("victim", "neighbour", folder.name):
                    folder.daemon.api("DELETE", f"/apps/{app['name']}?purge=1")
    return done


def once() -> Callable[[], bool]:
    left = iter((True,))
    return lambda: next(left, False)


def lasting(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


# ------------------------------------------------------------------------------------------------------- swaps


class Swaps:
    """Under a few names a database, links to others' secrets, a FIFO, a folder and a hole take turns, fast."""

    def __init__(self, folder: Folder) -> None:
        victim = Path(app_folder(folder.daemon, "victim"))
        targets = (victim / "data.sqlite", victim / "own.txt", Path("/etc/shadow"), folder.daemon.data / "steady.db")
        self._targets = (*targets, folder.daemon.data / "operator.token", victim, Path("/dev/zero"), Path("loop"))
        self._folder = folder
        self._spare = folder.path.parent / "spare"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def __enter__(self) -> Swaps:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        makes: list[Callable[[Path], object]] = [lambda path: path.write_bytes(good(False)[""])]
        makes += [partial(os.symlink, target) for target in self._targets]
        makes += [os.mkfifo, os.mkdir, lambda path: path.write_bytes(good(True)[""]), self._hole, self._twin]
        while not self._stop.is_set():
            for make in makes:
                for name in ("data.sqlite", "data.sqlite-wal", "notes.txt", "deep"):
                    self._swap(make, self._folder.path / name)
                    self.count += 1

    def _swap(self, make: Callable[[Path], object], target: Path) -> None:
        old = self._spare.with_name("old")
        make(self._spare)
        self._folder.own(self._spare)
        with contextlib.suppress(FileNotFoundError):  # SQLite ends its log by itself
            os.rename(target, old)
        os.rename(self._spare, target)
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif os.path.lexists(old):
            old.unlink()

    def _hole(self, path: Path) -> None:
        path.write_bytes(good(False)[""])
        os.truncate(path, 1 << 40)

    def _twin(self, path: Path) -> None:
        """A second name of a file of its own."""
        own = self._folder.path / "own.txt"
        if not own.exists():
            self._folder.write("own.txt", b"own")
        os.link(own, path)


def swaps_are_harmless(wicked: Folder, seconds: float) -> None:
    with Swaps(wicked) as swaps:
        done = call_all(wicked, ["data.sqlite", "notes.txt", "deep/inner.sqlite"], lasting(seconds))
    assert swaps.count > 50
    assert done >= 3


def test_what_changes_places_all_the_time_harms_nobody(wicked: Folder) -> None:
    swaps_are_harmless(wicked, SWAPS_SECONDS)


# ------------------------------------------------------------------------------------------------------- damage


def damage_is_told(wicked: Folder, count: int) -> None:
    paths = [wicked.own(mutant.write(wicked.path)) for mutant in mutants(count)]
    for path in wicked.path.iterdir():
        if path.name.startswith(tuple(path.name for path in paths)):
            wicked.own(path)
    names = [path.name for path in paths]
    listed = call(wicked, "GET", "/apps/{name}/databases", None).json()["databases"]
    assert {each["path"] if "path" in each else each["file"] for each in listed} & set(names)
    with ThreadPoolExecutor(CALLERS) as callers:
        sql = "SELECT * FROM notes, seen LEFT JOIN pairs ON pairs.a = notes.id ORDER BY notes.text LIMIT 50"
        asked = [("POST", f"/apps/{{name}}/databases/{name}/query", {"sql": sql}) for name in names]
        answers = list(callers.map(lambda each: call(wicked, *each), asked))
        codes = {answer.json()["error"]["code"] for answer in answers if answer.status_code != 200}
        assert codes <= {"sql_error", "database_damaged", "query_timeout", "not_found"}, codes
        assert "database_damaged" in codes
    call_all(wicked, names[:: max(1, count // 4)], once())
    deployed = wicked.daemon.api(
        "POST", f"/apps/{wicked.name}/deploys", json={"files": {"index.ts": KEEPING.decode() + "// 2"}}
    )
    assert deployed.status_code in (201, 422), deployed.text
    assert wicked.daemon.ask(wicked.name).status_code == 200


def test_damaged_databases_are_told_and_nothing_else_happens(wicked: Folder) -> None:
    damage_is_told(wicked, MUTANTS)


def test_what_the_daemon_itself_looks_at_takes_no_time_however_damaged(tmp_path: Path) -> None:
    """It opens no database, and yet it reads of each: where it stands, whether it is one, what lies beside it."""
    place = Place(tmp_path, None)
    place.app.mkdir()
    for mutant in mutants(SOAK_MUTANTS, seed=7):
        mutant.write(place.app)
    before, began = len(os.listdir("/proc/self/fd")), time.monotonic()
    found = databases(place.app)
    assert len(positions(place.app, found)) == len(found) > 50
    standing, kept = Standing(place.app), kept_standing(place.app)
    assert len(standing.look()) == len(standing.look()) > 50
    assert len(kept) == len(kept_standing(place.app))
    captured = Survey(place, (), {}).look()
    assert len(captured.databases) > 250
    assert "-journal" not in "".join(captured.files)
    assert time.monotonic() - began < CALL_SECONDS_MAX
    assert len(os.listdir("/proc/self/fd")) <= before


# ------------------------------------------------------------------------------------------------------- endless


def test_what_never_ends_is_ended(wicked: Folder) -> None:
    wicked.own(script(wicked.path / "endless.sqlite", ENDLESS))
    asked = [
        "SELECT * FROM product", "SELECT x FROM large", "SELECT * FROM mirror", "SELECT count(*) FROM endless",
        "SELECT length(y) FROM trap", "SELECT group_concat(i) FROM endless", "SELECT i FROM endless",
    ]  # fmt: skip
    with ThreadPoolExecutor(len(asked)) as callers:
        answers = list(
            callers.map(
                lambda sql: call(wicked, "POST", "/apps/{name}/databases/endless.sqlite/query", {"sql": sql}), asked
            )
        )
    codes = [answer.json()["error"]["code"] if answer.status_code != 200 else "" for answer in answers]
    assert codes[0] == codes[3] == "query_timeout"
    assert codes[6] == ""
    assert set(codes) <= {"", "query_timeout", "sql_error", "database_damaged", "overloaded"}


# ------------------------------------------------------------------------------------------------------- a mess


def disorder_is_taken(wicked: Folder, files: int) -> None:
    names = ["new\nline.sqlite", os.fsdecode(b"\xff\xfe.sqlite"), "quote'\".sqlite", " .sqlite", "-rf.sqlite", "%2e.db"]
    for name in names:
        wicked.write(name, good(False)[""])
    for number in range(files):
        wicked.write(f"file-{number}", b"")
    deep = wicked.path
    for _ in range(90):
        deep = deep / "d"
        deep.mkdir()
        wicked.own(deep)
    shutil.copy(wicked.path / names[0], deep / "deep.sqlite")
    wicked.own(deep / "deep.sqlite")
    os.truncate(wicked.write("sparse.bin", b"x"), 1 << 40)
    os.truncate(wicked.write("sparse.sqlite", good(True)[""]), 1 << 40)
    os.mknod(wicked.path / "device.sqlite", 0o020666, os.makedev(1, 5))
    wicked.own(wicked.path / "device.sqlite")
    call_all(wicked, [names[0], names[1]], once())
    listed = call(wicked, "GET", "/apps/{name}/databases", None).json()["databases"]
    assert len(listed) >= 5
    began = time.monotonic()
    assert wicked.daemon.ask(wicked.name).status_code == 200
    assert wicked.daemon.api("POST", f"/apps/{wicked.name}/stop", json={}).status_code == 200
    assert wicked.daemon.ask(wicked.name).status_code == 200
    assert time.monotonic() - began < CALL_SECONDS_MAX


def test_any_name_any_depth_and_any_number_of_files_are_taken(wicked: Folder) -> None:
    disorder_is_taken(wicked, FILES)


# ------------------------------------------------------------------------------------------------------- for minutes


@pytest.mark.soak
def test_for_minutes_they_change_places(wicked: Folder) -> None:
    swaps_are_harmless(wicked, SOAK_SECONDS)


@pytest.mark.soak
def test_three_hundred_damaged_databases(wicked: Folder) -> None:
    damage_is_told(wicked, SOAK_MUTANTS)


@pytest.mark.soak
def test_ten_thousand_files_in_disorder(wicked: Folder) -> None:
    disorder_is_taken(wicked, SOAK_FILES)
