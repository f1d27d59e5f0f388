"""A real Litestream with short levels, a database that is really written, and what was in it after each transaction."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadyd.backup.chain import line_key
from steadyd.backup.target import Target, TargetKind
from steadyd.moment import Line
from steadyd.runner.engine import find_litestream

DEADLINE_SECONDS = 20.0
CONFIG = """
dbs: []
socket: {{enabled: true, path: {socket}}}
levels: [{{interval: {level}}}, {{interval: 1h}}]
l0-retention: {retention}
l0-retention-check-interval: {check}
snapshot: {{interval: 24h, retention: 720h}}
"""


@dataclass(frozen=True)
class Written:
    """What the database held after transaction `txid`, which was copied between two times."""

    txid: int
    rows: int
    before: float
    after: float


@dataclass
class Writer:
    """One database, followed along one line in a folder, or in a bucket."""

    folder: Path
    line: Line = field(default_factory=lambda: Line(1, "app1", "data.sqlite", 1, 0.0))
    history: list[Written] = field(default_factory=list)
    bucket: Target | None = None

    @property
    def target(self) -> Target:
        return self.bucket or Target(TargetKind.FILE, path=self.folder / "replica")

    @property
    def objects(self) -> Path:
        """The folder of the line."""
        return self.target.path / line_key(self.line)

    @property
    def database(self) -> Path:
        return self.folder / "live" / self.line.path

    def open(self) -> None:
        self.database.parent.mkdir(exist_ok=True)
        self.connection = sqlite3.connect(self.database, isolation_level=None, timeout=10.0)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, at REAL, filling BLOB)")

    def register(self) -> None:
        key = line_key(self.line)
        self._call("/register", path=str(self.database), replica_url=self.target.replica_url(key))

    def write(self, rows: int = 1, filling: int = 400) -> Written:
        """Some more rows, each a transaction of the database, and one of the replica for all."""
        for _ in range(rows):
            values = (time.time(), os.urandom(filling))
            self.connection.execute("INSERT INTO rows (at, filling) VALUES (?, ?)", values)
        return self.sync()

    def sync(self) -> Written:
        before = time.time()
        answer = self._call("/sync", path=str(self.database), wait=True, timeout=10)
        assert answer["replicated_txid"] == answer["txid"]
        (rows,) = self.connection.execute("SELECT count(*) FROM rows").fetchone()
        self.history.append(Written(answer["txid"], rows, before, time.time()))
        return self.history[-1]

    def unregister(self) -> None:
        self._call("/unregister", path=str(self.database), timeout=10)

    def until(self, condition: Callable[[], object]) -> None:
        """Write on until something is true of the replica."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            self.write()
            time.sleep(0.05)

    def level(self, number: int) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self.objects / "ltx" / str(number)) if name.endswith(".ltx"))
        return []

    def _call(self, where: str, **body: Any) -> dict[str, Any]:
        connection = http.client.HTTPConnection("litestream")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / "control"))
        connection.request("POST", where, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        return dict(json.loads(content))


@contextmanager
def writer(
    folder: Path, level: str = "1s", retention: str = "1h", check: str = "1h", bucket: Target | None = None
) -> Iterator[Writer]:
    """Litestream with a first level of that interval; its own level 0 stays for `retention`."""
    secrets = bucket.litestream_environment if bucket else {}
    config = folder / "litestream.yml"
    control = folder / "control"
    config.write_text(CONFIG.format(socket=control, level=level, retention=retention, check=check))
    with (folder / "litestream.log").open("w") as log:
        command = [str(find_litestream()), "replicate", "-config", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", **secrets})
    found = Writer(folder, bucket=bucket)
    try:
        end = time.monotonic() + DEADLINE_SECONDS
        while not control.exists():
            assert time.monotonic() < end, (folder / "litestream.log").read_text()
            time.sleep(0.01)
        found.open()
        found.register()
        yield found
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def rows(path: Path) -> list[int]:
    """The rows of a restored database, which stays as it is."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [number for (number,) in database.execute("SELECT id FROM rows ORDER BY id")]
