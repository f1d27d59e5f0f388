"""Bun with the harness as a plain child process, without a sandbox: what the tests of the harness look at."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from steadyd.runner.engine import SCRIPTS, find_bun
from steadyd.runner.tool import SCRIPT

DEADLINE_SECONDS = 20.0
PORT = 41234
URL = "http://hello.localhost:8080"


class BunApp:
    """One process. `events` are the status lines so far; `output` is what it printed."""

    def __init__(
        self, folder: Path, entry: str = "./index.ts", environ: Mapping[str, str] | None = None, heard: bool = True
    ) -> None:
        self.runtime = Path(tempfile.mkdtemp(prefix="steady"))  # short: a socket's path ends at 108 bytes
        self.address = str(self.runtime / "s")
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        self._log = self.runtime / "log"
        self._status, status_end = os.pipe()
        if not heard:
            self.stop_listening()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [find_bun(), "--no-install", "--no-env-file", "--preload", SCRIPTS / "harness.ts", entry],
                cwd=folder,
                env=self._environ(status_end) | dict(environ or {}),
                pass_fds=[status_end],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        os.close(status_end)

    def __enter__(self) -> BunApp:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self.stop_listening()
        shutil.rmtree(self.runtime)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait(self, event: str, times: int = 1) -> dict[str, Any]:
        """The event of that name, its `times`-th one."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            found = [told for told in self.events if told["event"] == event]
            if len(found) >= times:
                return found[times - 1]
            assert self._read(deadline), f"no {event!r} (x{times}) in {self.events}; output:\n{self.output}"

    def poll(self) -> None:
        """Take the events that are there."""
        while self._read(0.0):
            pass

    def wait_exit(self) -> int:
        """Its exit code (negative: the signal), with all its events read."""
        code = self.process.wait(DEADLINE_SECONDS)
        while self._read(time.monotonic() + DEADLINE_SECONDS):
            pass
        return code

    def stop_listening(self) -> None:
        """Close our end of the status pipe, as a daemon does that dies."""
        if self._status >= 0:
            os.close(self._status)
        self._status = -1

    def connect(self) -> UnixConnection:
        return UnixConnection(self.address)

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, headers={"Host": "hello.localhost:8080"} | dict(headers or {}))
            return Answer(connection.getresponse())

    # Private

    def _environ(self, status: int) -> dict[str, str]:
        return {
            "HOME": str(self.runtime),
            "PATH": "/usr/bin:/bin",
            "NO_COLOR": "1",
            "NODE_ENV": "production",
            "PORT": str(PORT),
            "STEADY_ENV": "production",
            "STEADY_URL": URL,
            "STEADY_SOCKET": self.address,
            "STEADY_STATUS_FD": str(status),
        }

    def _read(self, deadline: float) -> bool:
        """Wait for more events; false at the end of the pipe and past the deadline."""
        if not select.select([self._status], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        piece = os.read(self._status, 1 << 16)
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        self.events += [json.loads(line) for line in lines if line]  # an empty one asks whether we are there
        return bool(piece)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=DEADLINE_SECONDS)
        self.address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.address)


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def run_script(name: str, *words: str | Path, folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One of our scripts, as the daemon runs it."""
    command = [find_bun(), *SCRIPT, SCRIPTS / name, *words]
    return subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
