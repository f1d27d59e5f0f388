from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from steadyd.proxy.ring import RequestRing
from steadyd.records.requests import Requests
from steadyd.telemetry import HEADS_AT_ONCE_MAX, MASKED_MAX, Telemetry

SECONDS_MAX = 10


def write(ring: RequestRing, service: bytes, path: bytes) -> None:
    ring.write((1_000_000, 10, 20, 30), (4, 5), 1, 200, (service, b"GET", path, b"127.0.0.1", b"id", b""))


def test_records_reach_the_log_and_the_followers(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "a").mkdir()
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests)
        follower = requests.feed.subscribe("a")
        running = asyncio.create_task(telemetry.run())
        write(ring, b"a", b"/hello")
        write(ring, b"", b"/nobody")
        write(ring, b"gone", b"/late")
        async with asyncio.timeout(SECONDS_MAX):
            heard = await anext(follower)
        assert (heard.id, heard.at, heard.path, heard.gate_us, heard.app_us, heard.total_us) == (
            1,
            1.0,
            "/hello",
            10,
            20,
            30,
        )
        assert await requests.tail("a", 10) == [heard]
        running.cancel()
        write(ring, b"a", b"/last")
        await telemetry.close()
        kept = Requests(lambda app_id: tmp_path / app_id)
        assert [row.path for row in await kept.tail("a", 10)] == ["/hello", "/last"]
        kept.close()

    asyncio.run(body())


def test_a_service_may_say_how_its_paths_are_kept(tmp_path: Path) -> None:
    async def body() -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests, {"a": {"/x": "/y", "/keep": "/keep"}.get})
        for service in (b"a", b"b"):
            for path in (b"/x", b"/gone", b"/keep"):
                write(ring, service, path)
        kept = [[row.path for row in await requests.tail(service, 9)] for service in ("a", "b")]
        assert kept == [["/y", "/keep"], ["/x", "/gone", "/keep"]]
        await telemetry.close()

    asyncio.run(body())


def test_who_reads_finds_what_has_just_finished(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "a").mkdir()
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests)
        for number in range(3):
            write(ring, b"a", b"/%d" % number)
            assert [row.path for row in await requests.tail("a", 1)] == [f"/{number}"]
        await telemetry.close()

    asyncio.run(body())


def test_lost_records_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        ring, requests = RequestRing(4), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests)
        for _ in range(10):
            write(ring, b"a", b"/")
        await telemetry.flush()
        await telemetry.flush()
        await telemetry.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(body())
    assert [record.message.split(":")[0] for record in caplog.records] == ["6 request records lost"]


def test_a_log_that_cannot_be_written_loses_its_records_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        for name in ("broken", "fine"):
            (tmp_path / name).mkdir()
        (tmp_path / "broken" / "telemetry.db").write_bytes(b"not a database " * 100)
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests)
        write(ring, b"broken", b"/")
        write(ring, b"fine", b"/")
        await telemetry.flush()
        assert len(await requests.tail("fine", 10)) == 1
        await telemetry.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(body())
    assert "1 request records of broken lost" in caplog.text


def test_headers_are_kept_masked_and_of_a_flood_those_that_failed_first(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "a").mkdir()
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests)
        count = HEADS_AT_ONCE_MAX + 10
        for number in range(count):
            ring.hold(b"GET /?key=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc\r\n", b"Server: b\r\n")
            names = (b"a", b"GET", b"/", b"127.0.0.1", b"id%d" % number, b"")
            ring.write((1_000_000, 10, 20, 30), (4, 5), 1, 500 if number == 0 else 200, names)
        await telemetry.flush()
        kept = [await requests.one("a", number) for number in range(1, count + 1)]
        heads = [found[1] for found in kept if found is not None]
        assert [head is not None for head in heads] == [True, *[False] * 10, *[True] * (HEADS_AT_ONCE_MAX - 1)]
        assert heads[0] is not None
        assert (heads[0].asked, heads[0].answered) == ("Host: a\nAuthorization: Bearer •••(3)", "Server: b")
        assert heads[0].marked
        await telemetry.close()

    asyncio.run(body())


def test_only_so_many_masked_heads_are_remembered(tmp_path: Path) -> None:
    ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
    telemetry = Telemetry(ring, requests)
    for number in range(2 * MASKED_MAX):
        assert telemetry._masked[b"Name: %d\r\n" % number] == f"Name: {number}"
        assert len(telemetry._masked) <= MASKED_MAX
    asyncio.run(telemetry.close())


def test_of_a_service_whose_paths_may_tell_secrets_no_header_is_kept(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "core").mkdir()
        ring, requests = RequestRing(), Requests(lambda app_id: tmp_path / app_id)
        telemetry = Telemetry(ring, requests, {"core": lambda path: "/login/…"})
        ring.hold(b"GET / HTTP/1.1\r\nReferer: http://localhost/login/s3cr3t\r\n", b"")
        write(ring, b"core", b"/login/s3cr3t")
        await telemetry.flush()
        found = await requests.one("core", 1)
        assert found is not None
        assert (found[0].path, found[1]) == ("/login/…", None)
        await telemetry.close()

    asyncio.run(body())
