"""One request from claim to release: what passes, what is forged, who waits, who leaves, how a swap ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from steadyd.errors import SteadyError
from steadyd.proxy.limits import Limits
from tests.proxy.stage import HOST, Handler, answer, canned, run, staged, until
from tests.proxy.test_client import GET, echo

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: app.localhost\r\n"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read and never answer."""
    while await reader.read(65_536):
        pass


def sends(first: bytes) -> Handler:
    """An instance that answers with `first` and then waits for the end of the connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        await silent(reader, writer)

    return handler


def test_what_the_app_is_told_about_the_client_cannot_be_forged() -> None:
    async def body() -> None:
        async with staged(echo) as stage:
            _, _, seen = await stage.ask(
                b"GET /a//b/%2e?x=y HTTP/1.1\r\nHost: App.localhost:80\r\nX-Forwarded-For: 6.6.6.6\r\n"
                b"Forwarded: for=6.6.6.6\r\nSteady-Request-Id: mine\r\nX-Real-IP: 6.6.6.6\r\nX-Own: v\r\n\r\n"
            )
            (record,) = await stage.records(1)
            assert seen == (
                b"GET /a//b/%2e?x=y HTTP/1.1\r\nHost: App.localhost:80\r\nX-Forwarded-Host: App.localhost:80\r\n"
                b"X-Own: v\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                b"Steady-Request-Id: " + record.request_id.encode() + b"\r\n\r\n"
            )

    run(body())


def test_a_request_leaves_one_record() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"12345"))) as stage:
            await stage.ask(POST + b"Content-Length: 3\r\n\r\nabc")
            (record,) = await stage.records(1)
            assert (record.service, record.version, record.method, record.path) == ("app", 3, "POST", "/")
            assert (record.status, record.request_bytes, record.answer_bytes, record.error) == (200, 3, 5, "")
            assert record.client == "127.0.0.1"
            assert 0 < record.gate_us + record.upstream_us <= record.total_us

    run(body())


def test_secrets_in_a_query_are_not_recorded() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            await stage.ask(b"GET /login?token=secret HTTP/1.1\r\nHost: localhost\r\n\r\n")
            (record,) = await stage.records(1)
            assert record.path == "/login"

    run(body())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_bodies_pass_both_ways(framing: str) -> None:
    async def body() -> None:
        data = bytes(range(256)) * 20_000
        async with staged(echo) as stage, stage.client() as client:
            if framing == "length":
                client.send(POST + b"Content-Length: %d\r\n\r\n" % len(data) + data)
            else:
                client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(data), 70_001):
                    piece = data[at : at + 70_001]
                    client.send(b"%X\r\n%b\r\n" % (len(piece), piece))
                client.send(b"0\r\n\r\n")
            assert (await client.answer())[2] == data

    run(body())


@pytest.mark.parametrize(
    ("upstream", "request_line", "expected"),
    [
        (answer(b"body"), b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        (CHUNKED, b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
    ],
)
def test_answers_without_a_body(upstream: bytes, request_line: bytes, expected: bytes) -> None:
    if request_line == b"HEAD":
        upstream = upstream.removesuffix(b"body")

    async def body() -> None:
        async with staged(canned(upstream)) as stage, stage.client() as client:
            for _ in range(3):
                client.send(GET.replace(b"GET", request_line))
                assert await client.head() == expected

    run(body())


def test_head_of_an_error_page_has_no_body() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage, stage.client() as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n" + GET)
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 404")
            assert (await client.answer())[0] == 200

    run(body())


def test_interim_answers_pass_and_an_unasked_100_does_not() -> None:
    async def body() -> None:
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        async with staged(canned(go_on + hint + answer())) as stage, stage.client() as client:
            client.send(GET)
            assert await client.head() == hint
            assert (await client.answer())[2] == b"ok"
            client.send(GET.replace(b"1.1\r", b"1.0\r"))
            assert (await client.head()).startswith(b"HTTP/1.1 200")

    run(body())


async def expecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for the body before answering, like Bun."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Expect: 100-continue" in head
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    writer.write(answer(await reader.readexactly(5)))
    await reader.read()


def test_expect_100_continue() -> None:
    async def body() -> None:
        async with staged(expecting) as stage, stage.client() as client:
            client.send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"hello")
            assert (await client.answer())[2] == b"hello"

    run(body())


def test_trailers_pass_both_ways() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.readuntil(b"0\r\n"))
        sent.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 2\r\nSet-Cookie: a=b\r\n\r\n")
        await reader.read()

    sent: list[bytes] = []

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.send(POST + b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n")
            client.send(b"2\r\nab\r\n0\r\nX-In: 1\r\nHost: evil\r\n\r\n")
            await client.head()
            assert await client.reader.readuntil(b"0\r\n") == b"2\r\nhi\r\n0\r\n"
            assert await client.reader.readuntil(b"\r\n\r\n") == b"X-Sum: 2\r\n\r\n"
            assert b"TE: trailers\r\n" in sent[0]
            assert sent[1] == b"X-In: 1\r\n\r\n"

    run(body())


def test_an_answer_without_length_ends_with_its_connection() -> None:
    async def body() -> None:
        for head in (b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
            async with staged(canned(head + b"old style", then_close=True)) as stage, stage.client() as client:
                for _ in range(2):
                    client.get()
                    _, got, content = await client.answer()
                    assert b"Transfer-Encoding: chunked" in got
                    assert content == b"old style"

    run(body())


def test_cookies_for_the_whole_domain_are_narrowed_and_said_once() -> None:
    async def body() -> None:
        wide = answer(extra=b"Set-Cookie: s=x; Domain=localhost; Path=/\r\nSteady-Error: forged\r\n")
        async with staged(canned(wide)) as stage, stage.client() as client:
            for _ in range(3):
                client.get()
                _, head, _ = await client.answer()
                assert b"Set-Cookie: s=x; Path=/\r\n" in head
                assert b"Steady-Error" not in head
            assert stage.narrowed == [("app", HOST)]
            client.get(host="localhost")
            _, head, _ = await client.answer()
            assert b"Domain=localhost" in head
            assert b"Steady-Error: forged" in head

    run(body())


def test_unknown_hosts_say_which_options_to_set_and_nothing_else() -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            status, head, page = await stage.ask(b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n")
            assert status == 404
            assert b"Steady-Error: unknown_host" in head
            message = json.loads(page)["error"]["message"]
            assert "--app-domain" in message
            assert "--control-domain" in message
            assert HOST not in message
            _, head, page = await stage.ask(b"GET / HTTP/1.1\r\nHost: nobody\r\nAccept: text/html\r\n\r\n")
            assert b"text/html" in head
            assert page.startswith(b"<!doctype html>")

    run(body())


def test_an_address_is_the_control_plane_and_browsers_are_sent_to_its_name() -> None:
    async def body() -> None:
        async with staged(canned(answer(b"control"))) as stage:
            request = b"GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%b\r\n"
            assert (await stage.ask(request % (stage.port, b"")))[2] == b"control"
            status, head, _ = await stage.ask(request % (stage.port, b"Accept: text/html,*/*\r\n"))
            assert status == 302
            assert b"Location: http://localhost:9/x?y\r\n" in head
            posted = request.replace(b"GET", b"POST") % (stage.port, b"Accept: text/html\r\n")
            assert (await stage.ask(posted))[0] == 200

    run(body())


MOVED = [b"GET /a/b?c=d HTTP/1.1\r\n", b"POST /a/b?c=d HTTP/1.1\r\nContent-Length: 4\r\n"]
MOVED.append(MOVED[0] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")  # fmt: skip


@pytest.mark.parametrize("line", MOVED)
def test_a_name_that_an_app_gave_up_leads_on_with_method_path_and_query(line: bytes) -> None:
    async def body() -> None:
        async with staged(canned(answer())) as stage:
            routes = stage.listener.routes
            stage.listener.routes = replace(routes, moved={"old.localhost": "http://new.localhost:9"})
            status, head, page = await stage.ask(line + b"Host: old.localhost:9\r\n\r\nbody")
            assert (status, page) == (308, b"")
            assert b"Location: http://new.localhost:9/a/b?c=d\r\n" in head
            assert b"Cache-Control: no-store\r\n" in head
            assert (await stage.ask(line + b"Host: older.localhost\r\n\r\nbody"))[0] == 404

    run(body())


def test_a_body_over_the_limit_is_413_whether_announced_or_not() -> None:
    async def body() -> None:
        async with staged(echo, Limits(body_bytes_max=10)) as stage:
            assert (await stage.ask(POST + b"Content-Length: 10\r\n\r\n0123456789"))[0] == 200
            status, head, _ = await stage.ask(POST + b"Content-Length: 11\r\n\r\n")
            assert status == 413
            assert b"Connection: close" in head
            assert stage.app.claims == 1
            async with stage.client() as client:
                client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                await until(lambda: stage.upstream.holders)
                client.send(b"6\r\n world\r\n")
                assert (await client.answer())[0] == 413
            stage.app.body_bytes_max = 12
            assert (await stage.ask(POST + b"Content-Length: 11\r\n\r\n01234567890"))[0] == 200
            stage.app.body_bytes_max = 0
            assert (await stage.ask(POST + b"Content-Length: 13\r\n\r\n0123456789012"))[0] == 200

    run(body())


def test_an_early_refusal_reaches_a_client_that_is_still_sending() -> None:
    async def body() -> None:
        async with staged(echo, Limits(body_bytes_max=10)) as stage, stage.client() as client:
            client.send(POST + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
            assert (await client.answer())[0] == 413
            assert await client.rest() == b""

    run(body())


def test_a_request_waits_at_the_gate_with_its_body_and_is_answered() -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client, stage.client() as other:
            stage.app.open = False
            client.send(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 100_000)
            other.get()
            await until(lambda: len(stage.app.waiting) == 2)
            client.send(b"y" * 100_000)
            stage.app.let_in()
            assert (await client.answer())[2] == b"x" * 100_000 + b"y" * 100_000
            assert (await other.answer())[0] == 200
            assert max(row.gate_us for row in await stage.records(2)) > 0

    run(body())


def test_a_client_that_leaves_the_gate_is_forgotten() -> None:
    async def body() -> None:
        async with staged(echo) as stage:
            stage.app.open = False
            async with stage.client() as client:
                client.get()
                await until(lambda: stage.app.waiting)
            await until(lambda: not stage.app.waiting)
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (499, "client_gone")

    run(body())


def test_a_refusal_at_the_gate_is_a_page() -> None:
    async def body() -> None:
        async with staged(echo) as stage, stage.client() as client:
            stage.app.refusal = SteadyError("held", "Kept down by its owner.", retry_after=5)
            client.get(extra="Accept: text/html\r\n")
            status, head, page = await client.answer()
            assert status == 503
            assert b"Retry-After: 5" in head
            assert b"Kept down by its owner." in page
            stage.app.refusal = None
            client.get()
            assert (await client.answer())[0] == 200

    run(body())


@pytest.mark.parametrize("first", [b"", CHUNKED + b"2\r\nhi\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"])
def test_a_client_that_aborts_aborts_the_apps_work(first: bytes) -> None:
    async def body() -> None:
        async with staged(sends(first)) as stage:
            async with stage.client() as client:
                client.get()
                await until(lambda: stage.instance.open)
                if first:
                    await client.reader.readuntil(b"hi")
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert record.status == 499
            assert stage.upstream.releases == 1

    run(body())


def test_leaving_an_event_stream_is_its_normal_end() -> None:
    async def body() -> None:
        async with staged(sends(STREAM + b"2\r\nhi\r\n")) as stage:
            async with stage.client() as client:
                client.get()
                await client.reader.readuntil(b"hi")
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert (record.status, record.error) == (200, "")

    run(body())


def test_an_upload_that_is_aborted_aborts_the_apps_request() -> None:
    async def body() -> None:
        async with staged(silent) as stage:
            async with stage.client() as client:
                client.send(POST + b"Content-Length: 1000\r\n\r\nabc")
                await until(lambda: stage.instance.open)
            await until(lambda: not stage.instance.open)
            (record,) = await stage.records(1)
            assert record.status == 499

    run(body())


def test_an_app_may_answer_before_it_has_read_the_body() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"early"))
            if b"Content-Length" in head:
                await reader.readexactly(1_000_000)

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.send(POST + b"Content-Length: 1000000\r\n\r\nabc")
            assert (await client.answer())[2] == b"early"
            assert stage.listener.exchanges == 1
            client.send(b"x" * 999_997)
            client.get()
            assert (await client.answer())[2] == b"early"
            assert stage.instance.connections == 1  # both connections could be kept

    run(body())


def test_an_app_that_answers_and_hangs_up_in_mid_upload() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"no", status=b"403 Forbidden"))

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.send(POST + b"Content-Length: 1000000\r\n\r\nabc")
            assert (await client.answer())[0] == 403
            await until(lambda: not stage.listener.exchanges)
            assert await client.rest() == b""

    run(body())


# Back-pressure


def test_a_slow_reader_stops_the_app_and_costs_bounded_memory() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            piece = b"x" * 65_536
            sent = 0
            while sent < total:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)

    total = 64 << 20

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.get()
            await settle(lambda: sent)
            assert 0 < sent < 24 << 20  # kernel buffers and one buffer of ours
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await client.head()
            left = total
            while left:
                left -= len(await client.reader.read(1 << 20))
            client.get()
            await client.head()
            await client.reader.readexactly(total)
            assert stage.instance.connections == 1  # it was paused, and yet could be used again

    run(body())


def test_a_stalled_app_stops_the_upload() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        left = total
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(answer(b"all"))
        await reader.read()

    go_on = asyncio.Event()
    total = 64 << 20

    async def body() -> None:
        async with staged(handler) as stage, stage.client() as client:
            client.send(POST + b"Content-Length: %d\r\n\r\n" % total)
            transport = client.writer.transport
            client.send(b"x" * total)
            await settle(transport.get_write_buffer_size)
            assert transport.get_write_buffer_size() > total - (24 << 20)
            go_on.set()
            assert (await client.answer())[2] == b"all"

    run(body())


async def settle(measure: Callable[[], int]) -> None:
    """Wait until a number has moved and stands still."""
    seen = [0, 0, measure()]
    while not seen[-1] or len(set(seen[-5:])) > 1 or len(seen) < 8:
        await asyncio.sleep(0.02)
        seen.append(measure())
