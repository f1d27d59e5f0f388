"""A host that is gone at a random moment: what was acknowledged is in the replica, whoever was told and however."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from steadyd.backup import layout
from steadyd.runner.engine import find_litestream
from tests.e2e.crowd import CLOSE, UPGRADE
from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.served import Daemon, Wire, data_folder, pids, remove, until

WRITERS = 8
HOST_SECONDS = 2.0
LAG_SECONDS_MAX = 2.5
"""About a second, on a machine that is busy with other tests as well."""
LEDGER = """
import { Database } from "bun:sqlite";
const db = new Database("ledger.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("PRAGMA busy_timeout = 5000");
db.run("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY)");
const add = db.query("INSERT INTO rows VALUES (?)");
const piece = (text: string) => new TextEncoder().encode(text);
const pieces = (keys: string[]) => new ReadableStream({
  async start(stream) {
    for (const key of keys) { add.run(key); stream.enqueue(piece(key + "\\n")); await Bun.sleep(1); }
    stream.close();
  },
});
Bun.serve({
  async fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (path === "/socket") return server.upgrade(request) ? undefined : new Response("no", { status: 400 });
    if (request.method !== "POST") return new Response(String(db.query("SELECT count(*) AS n FROM rows").get().n));
    const keys = (await request.text()).split(" ");
    if (keys.length > 1) return new Response(pieces(keys));
    add.run(keys[0]);
    return new Response(keys[0]);
  },
  websocket: { message(socket, key) { add.run(String(key)); socket.send(key); } },
});
"""


@dataclass
class Ledger:
    """What the writers were told is kept, in the order in which they heard it, and when."""

    daemon: Daemon
    name: str
    acknowledged: dict[str, float] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    stopping: bool = False

    def heard(self, key: str) -> None:
        self.acknowledged[key] = time.monotonic()

    async def post(self, number: int) -> None:
        """One row, one answer."""
        wire, count = Wire(self.daemon.port, f"{self.name}.localhost"), 0
        with contextlib.closing(wire):
            while not self.stopping:
                count += 1
                with contextlib.suppress(OSError):
                    status, body = await wire.ask("POST", "/", f"post-{number}-{count}".encode())
                    self.heard(body.decode()) if status == 200 else self.refused.append(status)

    async def stream(self, number: int) -> None:
        """Several rows, each acknowledged by a piece of one answer."""
        count = 0
        while not self.stopping:
            count += 1
            keys = " ".join(f"piece-{number}-{count}-{n}" for n in range(5))
            head = f"POST / HTTP/1.1\r\nHost: {self.name}.localhost\r\nContent-Length: {len(keys)}\r\n\r\n"
            async with self._opened(head + keys) as (reader, _):
                while (line := await reader.readline()) not in (b"", b"0\r\n"):
                    if line.startswith(b"piece-"):
                        self.heard(line.decode().strip())

    async def chat(self, number: int) -> None:
        """Rows by a WebSocket, each acknowledged by a frame."""
        count = 0
        while not self.stopping:
            async with self._opened(UPGRADE.format(host=f"{self.name}.localhost")) as (reader, writer):
                await reader.readuntil(b"\r\n\r\n")
                while not self.stopping:
                    count += 1
                    key = f"frame-{number}-{count}".encode()
                    writer.write(bytes([0x81, 0x80 | len(key), 0, 0, 0, 0]) + key)
                    kind, size = await reader.readexactly(2)
                    if kind == CLOSE:
                        break
                    self.heard((await reader.readexactly(size)).decode())

    @asynccontextmanager
    async def _opened(self, first: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, whatever it comes to."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.port)
            with contextlib.closing(writer):
                writer.write(first.encode())
                yield reader, writer

    async def write_until(self, moment: Callable[[], Awaitable[None]]) -> None:
        """All kinds of writers at once, until `moment` is over."""
        kinds = (self.post, self.stream, self.chat)
        work = [asyncio.create_task(kinds[number % 3](number)) for number in range(WRITERS)]
        await moment()
        self.stopping = True
        for task in work:
            task.cancel()
        done = await asyncio.gather(*work, return_exceptions=True)
        assert not [error for error in done if isinstance(error, Exception)]


def litestream_of(daemon: Daemon) -> int:
    """The pid of the one that replicates this daemon's apps."""
    return int(until(lambda: next(filter(None, (_if_litestream(daemon, pid) for pid in pids())), 0)))


def _if_litestream(daemon: Daemon, pid: int) -> int:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return 0
    return pid if words[0].endswith(b"litestream") and str(daemon.data) in mounts else 0


def kill_all(daemon: Daemon) -> None:
    """Nothing of the host runs any more, from one moment to the next."""
    daemon.process.send_signal(signal.SIGSTOP)
    for pid in (litestream_of(daemon), *daemon.instances()):
        with contextlib.suppress(ProcessLookupError):  # one may end with another
            os.kill(pid, signal.SIGKILL)
    daemon.kill()
    until(lambda: not daemon.instances())


class Shelf:
    """What is kept of a host: the folder of its replicas."""

    def __init__(self, root: Path) -> None:
        self.options = ["--replica", f"file://{root / 'replica'}"]
        self.before: list[str] = []
        self.environment: dict[str, str] = {}
        self._root = root

    def cut(self, daemon: Daemon) -> None:
        """From now on nothing comes into it."""
        os.kill(litestream_of(daemon), signal.SIGSTOP)

    def has_begun(self) -> bool:
        """Whether anything is in it; on a busy machine that takes a while."""
        return any((self._root / "replica" / "apps").glob("*/*/*"))

    def url(self, app_id: str) -> str:
        """Of the one line of the one database."""
        (line,) = (self._root / "replica" / "apps" / app_id).glob("*/*")
        return f"file://{line}"


class Bucket:
    """The same in an object store, which is cut off."""

    def __init__(self, store: ObjectStore, proxy: FaultProxy) -> None:
        self.environment = store.environment()
        self.options = ["--replica", store.url()]
        self.before = ["env", *(f"{name}={value}" for name, value in store.environment(proxy.port).items())]
        self._store = store
        self._proxy = proxy

    def cut(self, daemon: Daemon) -> None:
        self._proxy.become(Fault.HALF_OPEN)

    def url(self, app_id: str) -> str:
        return self._store.target().replica_url(layout.line(app_id, 1, 1))


def restored(daemon: Daemon, kept: Shelf | Bucket, target: Path) -> set[str]:
    """The rows that are in the replica, and nothing else is left of the host."""
    (app,) = (daemon.data / "apps").iterdir()
    subprocess.run(["/bin/rm", "-rf", str(daemon.data)], check=True)
    command = [str(find_litestream()), "restore", "-o", str(target / "ledger.sqlite"), kept.url(app.name)]
    environment = {"PATH": os.environ["PATH"], **kept.environment}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(target / "ledger.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {key for (key,) in database.execute("SELECT key FROM rows")}


def deleted_at_random(
    kept: Shelf | Bucket, target: Path, durability: str, rows: int, seed: int
) -> tuple[Ledger, set[str]]:
    """Write until so many rows are acknowledged, and a moment more; then the host is no more. Where answers wait for
    the replica, that is cut off at the last while the app goes on: who is told something then must not rely on it.
    Returns what was acknowledged, and what is left."""
    chance = random.Random(seed)
    daemon = Daemon(data_folder(), "--replicated-seconds", "1", *kept.options, before=kept.before)
    try:
        daemon.create("ledger", {"index.ts": LEDGER})
        daemon.api("PATCH", "/apps/ledger/settings", json={"durability": durability}).raise_for_status()
        ledger = Ledger(daemon, "ledger")

        async def moment() -> None:
            deadline = time.monotonic() + 60 + rows / 20
            while len(ledger.acknowledged) < rows:
                assert time.monotonic() < deadline, (len(ledger.acknowledged), ledger.refused[-3:])
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0, 0.3))
            if durability == "replica":
                kept.cut(daemon)
                await asyncio.sleep(chance.uniform(0, 0.5))
            else:
                assert isinstance(kept, Shelf)
                await asyncio.to_thread(until, kept.has_begun)
                await asyncio.sleep(HOST_SECONDS)
            kill_all(daemon)

        asyncio.run(ledger.write_until(moment))
        return ledger, restored(daemon, kept, target)
    finally:
        daemon.kill()
        remove(daemon.data)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    data = data_folder()
    yield Shelf(data.parent)
    remove(data)


def test_nothing_that_was_acknowledged_is_lost_with_the_host(shelf: Shelf, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    ledger, left = deleted_at_random(shelf, tmp_path, "replica", 200, seed)
    assert len(ledger.acknowledged) >= 200
    assert {key.partition("-")[0] for key in ledger.acknowledged} == {"post", "piece", "frame"}
    assert not ledger.acknowledged.keys() - left, f"seed {seed}"


def test_nothing_is_lost_where_an_object_store_is_what_is_left(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    with ObjectStore() as store, FaultProxy(store.port) as proxy:
        ledger, left = deleted_at_random(Bucket(store, proxy), tmp_path, "replica", 100, seed)
    assert len(ledger.acknowledged) >= 100
    assert not ledger.acknowledged.keys() - left, f"seed {seed}"


def test_without_it_at_most_the_last_moment_is(shelf: Shelf, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    ledger, left = deleted_at_random(shelf, tmp_path, "host", 100, seed)
    lost = [at for key, at in ledger.acknowledged.items() if key not in left]
    last = max(ledger.acknowledged.values())
    assert last - min(lost, default=last) < LAG_SECONDS_MAX, f"seed {seed}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_of_ten_thousand_acknowledged_rows_none_is_lost(shelf: Shelf, tmp_path: Path, seed: int) -> None:
    ledger, left = deleted_at_random(shelf, tmp_path, "replica", 1_000, seed)
    assert not ledger.acknowledged.keys() - left


def test_a_deploy_under_load_loses_and_refuses_nobody() -> None:
    """Who waits for the replica has the drain's time; the deploy is told when the replica has its restore point."""
    daemon = Daemon(data_folder())
    try:
        daemon.create("ledger", {"index.ts": LEDGER})
        daemon.api("PATCH", "/apps/ledger/settings", json={"durability": "replica"}).raise_for_status()
        ledger = Ledger(daemon, "ledger")

        async def moment() -> None:
            for number in range(2):
                files = {"merge": True, "files": {"number.ts": f"export const number = {number};"}}
                made = await asyncio.to_thread(daemon.api, "POST", "/apps/ledger/deploys", json=files)
                assert made.status_code == 201, made.text
            await asyncio.sleep(0.1)

        asyncio.run(ledger.write_until(moment))
        assert (ledger.refused, len(ledger.acknowledged) > 20) == ([], True)
        with closing(sqlite3.connect(next((daemon.data / "apps").glob("*/app/ledger.sqlite")))) as database:
            kept = {key for (key,) in database.execute("SELECT key FROM rows")}
        assert not ledger.acknowledged.keys() - kept
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(daemon.data)


def test_where_the_replica_is_away_that_is_told_and_nobody_waits_for_nothing() -> None:
    """One answer waits its time; then requests are refused before the app sees them. What was safe can be read, and it
    recovers alone; who does not want it any more has done with it at once."""
    daemon = Daemon(data_folder(), "--replicated-seconds", "1")
    try:
        daemon.create("ledger", {"index.ts": LEDGER})
        daemon.api("PATCH", "/apps/ledger/settings", json={"durability": "replica"}).raise_for_status()
        assert daemon.ask("ledger", method="POST", content="one").text == "one"
        (line,) = (daemon.data / "replica").glob("apps/*/*/*/ltx")
        line.rename(line.with_name("aside"))
        line.touch()  # nothing can be written below
        assert daemon.ask("ledger").text == "1"  # safe before, safe now

        waited, late = timed(lambda: daemon.ask("ledger", method="POST", content="two"))
        assert waited >= 1.0
        assert (late.status_code, late.json()["error"]["code"]) == (503, "not_replicated")
        assert "Retry-After" in late.headers
        assert "look before you send your request again" in late.json()["error"]["message"]
        waited, refused = timed(lambda: daemon.ask("ledger", method="POST", content="three"))
        assert (refused.status_code, waited < 0.9) == (503, True)
        assert "was not passed on" in refused.json()["error"]["message"]
        told = daemon.api("PATCH", "/apps/ledger/settings", json={"cpus": 0.5})
        assert (told.status_code, told.json()["error"]["code"]) == (503, "not_replicated")
        assert daemon.api("GET", "/apps/ledger/settings").json()["settings"]["cpus"] == 0.5
        said = daemon.api("GET", "/apps/ledger/logs").text
        assert "The replica lacks what the app wrote, so answers are held back." in said

        line.unlink()
        line.with_name("aside").rename(line)
        until(lambda: daemon.ask("ledger").text == "2", 30)
        assert daemon.ask("ledger", method="POST", content="four").text == "four"
        line.rename(line.with_name("aside"))
        line.touch()
        assert daemon.ask("ledger", method="POST", content="five").status_code == 503
        daemon.api("PATCH", "/apps/ledger/settings", json={"durability": "host"}).raise_for_status()
        assert daemon.ask("ledger").text == "4"
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove(daemon.data)


def timed(call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = call()
    return time.monotonic() - began, answer
