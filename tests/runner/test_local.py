"""An app in its developer's folder, on real Bun: reloads, failures that wait for a change, and what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from steadyd.errors import SteadyError
from steadyd.model import AppState
from steadyd.proxy.service import Upstream
from steadyd.runner.local import APP_ID, LocalApp, Source, engine_in, entry_of
from steadyd.runner.logs import Logs
from steadyd.runner.start import Starter

SECONDS_MAX = 20.0
HELLO = "export default { fetch: () => new Response('hello') }"


class Visitor:
    """One request's side of a claim."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def granted(self, upstream: Upstream) -> None:
        self.answer.set_result("granted")
        upstream.release(self)

    def refused(self, error: SteadyError) -> None:
        self.answer.set_result(f"{error.code}: {error.message}")

    def describe(self) -> tuple[str, str]:
        return "GET", "/"

    def wind_down(self) -> None:
        pass

    def cut(self) -> None:
        pass


def with_app(tmp_path: Path, files: dict[str, str], body: Callable[[LocalApp, Logs], Awaitable[None]]) -> None:
    """Run `body` with an app made of `files`, and see that its process is gone afterwards."""
    folder = tmp_path / "app"
    folder.mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    (tmp_path / "run").mkdir()

    async def run() -> None:
        logs = Logs(lambda app_id: tmp_path / "logs", 1 << 20)
        starter = Starter(engine_in(tmp_path / "engine"), tmp_path / "run", logs, sandboxed=False)
        app = LocalApp(Source("app", folder), starter, logs, {"GREETING": "hi", "STEADY_ENV": "local"})
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await body(app, logs)
        finally:
            await app.close()
            await logs.close()
        assert app.instance is None
        assert list((tmp_path / "run").iterdir()) == []

    uvloop.run(run())


async def visit(app: LocalApp) -> str:
    visitor = Visitor()
    app.claim(visitor)
    return await visitor.answer


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(int(SECONDS_MAX * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true in time")


async def said(logs: Logs) -> str:
    return "\n".join(line.text for line in await logs.tail(APP_ID, 1_000))


def test_a_request_wakes_it_and_a_reload_keeps_it(tmp_path: Path) -> None:
    async def body(app: LocalApp, logs: Logs) -> None:
        assert await visit(app) == "granted"
        waiting = [asyncio.create_task(visit(app)) for _ in range(20)]
        assert await app.reload()
        assert await asyncio.gather(*waiting) == ["granted"] * 20
        assert app.starts == 2

    with_app(tmp_path, {"index.ts": HELLO}, body)


def test_a_failure_says_where_waits_and_is_told_to_everybody(tmp_path: Path) -> None:
    async def body(app: LocalApp, logs: Logs) -> None:
        assert await visit(app) == "app_failed: The app does not run: index.ts:2: boom"
        starts = app.starts
        assert await visit(app) == "app_failed: The app does not run: index.ts:2: boom"
        assert (app.state, app.starts) == (AppState.FAILED, starts)
        assert "It does not start: index.ts:2: boom" in await said(logs)
        assert "not started any more" not in await said(logs), "it is, at the next change"
        (app.source.folder / "index.ts").write_text(HELLO)
        assert await app.reload()
        assert await visit(app) == "granted"
        (app.source.folder / "index.ts").unlink()
        assert not await app.reload()
        assert "Nothing to run" in await visit(app)

    with_app(tmp_path, {"index.ts": "\nthrow new Error('boom')"}, body)


def test_it_learns_what_the_app_loads_and_writes(tmp_path: Path) -> None:
    source = """
import "./lib.ts"; import { Database } from "bun:sqlite";
new Database("data.sqlite").run("create table t(x)");
await Bun.write("out.txt", "x");
export default { fetch: () => new Response("") }
"""

    async def body(app: LocalApp, logs: Logs) -> None:
        await app.wake()
        folder = app.source.folder
        await eventually(lambda: str(folder / "lib.ts") in app.modules and str(folder / "out.txt") in app.wrote)
        assert {str(folder / name) for name in ("data.sqlite", "data.sqlite-wal")} <= app.wrote

    with_app(tmp_path, {"index.ts": source, "lib.ts": ""}, body)


def test_variables_and_its_own_env_file(tmp_path: Path) -> None:
    source = """
console.log("saw", process.env.GREETING, process.env.FROM_FILE, process.env.STEADY_VERSION);
export default { fetch: () => new Response("") }
"""

    async def body(app: LocalApp, logs: Logs) -> None:
        await app.wake()
        assert app.instance is not None
        recent = app.instance.pump.recent
        await eventually(lambda: "saw hi file 1" in recent)

    with_app(tmp_path, {"index.ts": source, ".env": "FROM_FILE=file"}, body)


def test_dependencies_are_installed_when_they_are_missing(tmp_path: Path) -> None:
    """By `bun install`, from a folder here: no registry is asked."""
    package = {"dependencies": {"greeter": f"file:{tmp_path / 'greeter'}"}}
    (tmp_path / "greeter").mkdir()
    (tmp_path / "greeter" / "package.json").write_text('{"name": "greeter", "version": "1.0.0", "main": "g.js"}')
    (tmp_path / "greeter" / "g.js").write_text("module.exports = 'hello'")
    source = 'import g from "greeter"; console.log("greeted", g); ' + HELLO

    async def body(app: LocalApp, logs: Logs) -> None:
        await app.wake()
        assert "bun install" in await said(logs)
        assert await app.reload()
        assert (await said(logs)).count("bun install: ") + (await said(logs)).count("names: bun install") == 1

    with_app(tmp_path, {"index.ts": source, "package.json": json.dumps(package)}, body)


def test_a_failed_install_is_a_failed_start(tmp_path: Path) -> None:
    package = {"dependencies": {"greeter": "file:./nowhere"}}

    async def body(app: LocalApp, logs: Logs) -> None:
        with pytest.raises(SteadyError, match="bun install failed"):
            await app.wake()

    with_app(tmp_path, {"index.ts": HELLO, "package.json": json.dumps(package)}, body)


@pytest.mark.parametrize(
    ("files", "entry"),
    [
        ({"index.ts": "", "index.html": ""}, "index.ts"),
        ({"index.html": ""}, ""),
        ({"package.json": '{"main": "./src.ts"}', "src.ts": ""}, "src.ts"),
        ({"package.json": '{"module": "gone.ts", "main": "src.ts"}', "src.ts": ""}, "src.ts"),
    ],
)
def test_the_entry_is_found_as_in_a_deploy(tmp_path: Path, files: dict[str, str], entry: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert entry_of(tmp_path) == entry


@pytest.mark.parametrize(("package", "code"), [("{", "invalid"), ("[]", "invalid"), ("{}", "no_entry")])
def test_no_entry(tmp_path: Path, package: str, code: str) -> None:
    (tmp_path / "package.json").write_text(package)
    with pytest.raises(SteadyError) as caught:
        entry_of(tmp_path)
    assert caught.value.code == code


def test_what_a_server_would_refuse_is_said_once(tmp_path: Path) -> None:
    """At the start and later, by every way to connect, and nothing changes for the app."""
    code = """
    import net from "node:net";
    const quiet = { data() {}, error() {}, connectError() {} };
    await fetch("http://127.0.0.1:1/").catch(() => {});
    await Bun.connect({ hostname: "localhost", port: 2, socket: quiet }).catch(() => {});
    export default {
      async fetch(request) {
        if (new URL(request.url).pathname === "/answer") return new Response("public");
        net.connect(3, "127.0.0.1").on("error", () => {});
        net.connect({ port: 4, host: "::1" }).on("error", () => {});
        new WebSocket("ws://127.0.0.1:5/").onerror = () => {};
        await fetch(new Request("http://127.0.0.1:1/again")).catch(() => {});
        return new Response("done");
      },
    };
    """

    async def body(app: LocalApp, logs: Logs) -> None:
        await app.wake()
        assert app.instance is not None
        for _ in range(2):
            assert await get(app.instance.address) == "done"

        await eventually(lambda: len(app._targets) == 5 and not app._work)
        said = sorted(line.text for line in await logs.tail(APP_ID, 100) if "On a server" in line.text)
        assert [line.split(" is refused")[0] for line in said] == [
            "On a server, 127.0.0.1 port 1",
            "On a server, 127.0.0.1 port 3",
            "On a server, 127.0.0.1 port 5",
            "On a server, ::1 port 4",
            "On a server, localhost port 2",
        ]
        assert said[0].endswith("unless its operator opens it: 127.0.0.0/8 is loopback.")

    with_app(tmp_path, {"index.ts": code}, body)


async def get(address: str) -> str:
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
    answer = (await reader.read(-1)).decode()
    writer.close()
    await writer.wait_closed()
    return answer.rpartition("\r\n\r\n")[2]
