"""A command line in an empty home, and a server that answers what a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from steadyd.cli.program import program

Steadyd = Callable[..., Result]


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    authorization: str
    body: Any


@dataclass
class Api:
    """Answers by `"METHOD /path"`: (status, object) or (status, list of objects) for a stream of lines."""

    url: str
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and nothing of steadyd in the environment."""
    import os

    for name in [name for name in os.environ if name.startswith("STEADYD_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("STEADYD_DATA", str(home / "data" / "steadyd"))
    return home


@pytest.fixture
def steadyd(home: Path) -> Steadyd:
    """Call the command: `steadyd("apps", "--json")`."""

    def call(*words: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(program, list(words), env=env, prog_name="steadyd")

    return call


@pytest.fixture
def api() -> Iterator[Api]:
    """A real server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state = Api(f"http://127.0.0.1:{server.server_address[1]}")
    _Handler.state = state
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Api

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        state = self.state
        is_json = "json" in self.headers.get("Content-Type", "json")
        body = json.loads(raw) if raw and is_json else raw or None
        state.asked.append(Asked(self.command, self.path, self.headers.get("Authorization", ""), body))
        missing = (404, {"error": {"code": "not_found", "message": "There is no such thing.", "details": {}}})
        status, answer = state.answers.get(f"{self.command} {self.path}", missing)
        lines = answer if isinstance(answer, list) else [answer]
        content = answer if isinstance(answer, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "https://elsewhere.example/")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass
