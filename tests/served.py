"""A real daemon in its own process, for tests that speak to it as users do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import warm
from tests.warm import Started

READY_SECONDS_MAX = 30.0
READY = re.compile(r"steadyd ready on http://([^:]+):(\d+)")
NOBODY = 65_534
ROOT = Path(__file__).parent.parent


class Daemon:
    """`steadyd serve` on a free port. `client` speaks as the operator."""

    module = "steadyd"
    """What is run: the program, or one that is it and more."""

    def __init__(self, data: Path, *options: str, before: Sequence[str] = ()) -> None:
        """`before` is a command that executes the rest of its words, as `env` does."""
        self.data = data
        self.before = before
        self.options = options
        self.output: list[str] = []
        self.port = 0
        self.start()

    def start(self, listen: str = "127.0.0.1:0") -> None:
        """Start (again) and wait for the ready line."""
        reading, writing = os.pipe()
        self.process = self._started(["serve", "--listen", listen, "--data", str(self.data), *self.options], writing)
        os.close(writing)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._pump, args=(reading, lines), daemon=True).start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                line = lines.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None:
                    break
                continue
            if match := READY.search(line):
                self.port = int(match[2])
                self.token = (self.data / "operator.token").read_text().strip()
                return
        self.process.kill()
        raise AssertionError("the daemon did not become ready:\n" + "".join(self.output))

    def _started(self, words: list[str], output: int) -> Started | subprocess.Popen[bytes]:
        """From modules that are read already, where nothing but variables goes before the program."""
        if not self.before or (self.before[0] == "env" and all("=" in word for word in self.before[1:])):
            variables = dict(word.split("=", 1) for word in self.before[1:])
            return warm.start(self.module, words, variables, output)
        command = [*self.before, sys.executable, "-m", self.module, *words]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)

    def _pump(self, reading: int, lines: queue.Queue[str]) -> None:
        with open(reading) as said:
            for line in said:
                self.output.append(line)
                lines.put(line)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False)  # else it reads certificates

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call of the JSON API as the operator; `path` without /api."""
        with self.client as client:
            return client.request(method, f"/api{path}", **options)

    def create(self, name: str, files: dict[str, str]) -> dict[str, Any]:
        """A new app from text files; asserts that it went live."""
        answer = self.api("POST", "/apps", json={"name": name, "files": files})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def ask(self, name: str, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:
        """One request to an app through the front door."""
        headers = {"Host": f"{name}.localhost", **options.pop("headers", {})}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, verify=False, **options)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def instances(self) -> list[int]:
        """Pids of every process on this host that belongs to an app of this data folder."""
        return [pid for pid in pids() if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return f"{self.data}/apps/" in Path(f"/proc/{pid}/mountinfo").read_text()  # Litestream sees them all
        return False


@cache
def as_ordinary_user() -> tuple[str, ...]:
    """A `before` for `Daemon`: executes it as an ordinary user, by an interpreter that such a one can reach."""
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    words += ["env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={sysconfig.get_path('purelib')}:{ROOT}"]
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run([*words, python, "-c", "import apsw, uvloop"], capture_output=True, check=False)
        if tried.returncode == 0:
            return (*words, "sh", "-c", f'shift; exec {python} "$@"', "sh")
    pytest.skip("no Python here that another user can run us with")


def refused(data: Path, *options: str, before: Sequence[str] = ()) -> str:
    """What a daemon says that must not start: one line, exit code 1."""
    command = [*before, sys.executable, "-m", "steadyd", "serve", "--data", str(data), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=READY_SECONDS_MAX)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def data_folder() -> Path:
    """An empty data folder that apps' own uids can pass through (pytest's tmp_path is 0700)."""
    folder = Path(tempfile.mkdtemp(prefix="steadyd-test-"))
    folder.chmod(0o711)
    return folder / "data"


def remove(data: Path) -> None:
    subprocess.run(["/bin/rm", "-rf", str(data.parent)], check=False)  # apps may make folders deeper than rmtree can go


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition with a deadline; returns its first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


class Wire:
    """One keep-alive HTTP/1.1 connection to an app, for load that must not be slowed by a client library."""

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self._host = host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """(status, body) of one request. A connection that the server closed between requests is opened again."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        head_bytes = await reader.readuntil(b"\r\n\r\n")
        status = int(head_bytes.split(b" ", 2)[1])
        headers = head_bytes.lower()
        if b"transfer-encoding: chunked" in headers:
            return status, await self._chunks(reader)
        match = re.search(rb"content-length: (\d+)", headers)
        content = await reader.readexactly(int(match[1])) if match else b""
        if b"connection: close" in headers:
            self.close()
        return status, content

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        content = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            content += (await reader.readexactly(size + 2))[:-2]
            if size == 0:
                return content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
