"""The outgoing door: what it sends, whom it believes, and where it never goes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from steadyd import post as module
from steadyd.post import ANSWER_BYTES_MAX, Post, Undelivered, is_public, resolve
from steadyd.webhook import Webhook, read_webhook
from tests.receiver import CERTIFICATE, HOST, receiver

SECONDS_MAX = 20.0


def run(body: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await body

    uvloop.run(bounded())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
        "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001:0:4136::1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "::7f00:1", "100::1", "localhost", "", "2130706433", "0x7f.1", "127.1",
    ],
)  # fmt: skip
def test_no_way_leads_into_a_private_network(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "172.32.0.1"])
def test_the_public_internet_is_open(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "127.1", "0x7f000001", "2130706433", "017700000001"]
)
def test_by_default_loopback_is_refused_however_it_is_written(host: str) -> None:
    """With the system's own resolver, which understands all of these."""

    async def body() -> None:
        with pytest.raises(Undelivered) as caught:
            await Post().send(read_webhook(f"https://{host}:9/"), {}, b"")
        assert "public internet" in caught.value.reason or "no host" in caught.value.reason

    run(body())


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    async def body() -> None:
        with pytest.raises(Undelivered, match="public internet") as caught:
            await Post(lookup=lookup).send(read_webhook("https://rebinding.example/"), {}, b"")
        assert caught.value.final

    run(body())


def test_a_message_arrives_at_the_address_that_was_checked() -> None:
    """The name leads nowhere but through our look-up, and the certificate is checked for the name."""

    async def body() -> None:
        async with receiver() as there:
            to = read_webhook(f"{there.url}?a=ü")
            assert await there.post().send(to, {"Content-Type": "text/plain", "Title": "Hi"}, b"body") == 204
            [(head, content)] = there.taken
            assert head.startswith("POST /hook?a=%C3%BC HTTP/1.1\r\n")
            for line in (f"Host: {HOST}:{there.port}", "Title: Hi", "Content-Length: 4", "Connection: close"):
                assert f"\r\n{line}\r\n" in head
            assert content == b"body"

    run(body())


def test_an_unknown_certificate_and_a_wrong_name_are_refused() -> None:
    async def body() -> None:
        async with receiver() as there:

            async def anywhere(host: str, port: int) -> list[str]:
                return ["127.0.0.1"]

            ours = ssl.create_default_context(cafile=CERTIFICATE)
            doors = {HOST: Post(lambda _: True, None, anywhere), "other.example": Post(lambda _: True, ours, anywhere)}
            for host, door in doors.items():
                with pytest.raises(Undelivered, match=f"certificate of {host} is not valid"):
                    await door.send(read_webhook(f"https://{host}:{there.port}/"), {}, b"secret")
            assert there.taken == []

    run(body())


@pytest.mark.parametrize(
    ("answer", "reason", "final"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n\r\n", "answered 302, which is not followed", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404", True),
        (b"HTTP/1.1 429 Slow down\r\n\r\n", "answered 429", False),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "answered 500", False),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 503 No\r\n\r\n", "answered 503", False),
    ],
)
def test_an_answer_that_is_no_yes(answer: bytes, reason: str, final: bool) -> None:
    async def body() -> None:
        async with receiver() as there:
            there.answers = [answer]
            with pytest.raises(Undelivered) as caught:
                await there.post().send(read_webhook(there.url), {}, b"")
            assert (caught.value.reason, caught.value.final) == (f"{HOST} {reason}", final)
            assert len(there.taken) == 1

    run(body())


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + ANSWER_BYTES_MAX * b"x", b"HTTP/1.1 20"]
)
def test_an_answer_that_is_none(answer: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def body() -> None:
        async with receiver(handler) as there:
            with pytest.raises(Undelivered, match="as a web server does"):
                await there.post().send(read_webhook(there.url), {}, b"")

    run(body())


def test_one_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with receiver() as there:
            there.hold = asyncio.Event()
            with pytest.raises(Undelivered, match=r"did not answer within 0\.2 s"):
                await there.post().send(read_webhook(there.url), {}, b"")

    run(body())


def test_a_name_that_is_not_found_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESOLVE_SECONDS_MAX", 0.05)

    async def lookup(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async def body() -> None:
        with pytest.raises(Undelivered, match="not found within") as caught:
            await Post(lookup=lookup).send(Webhook(HOST, 443, "/", False), {}, b"")
        assert not caught.value.final

    run(body())


def test_nobody_there() -> None:
    async def body() -> None:
        async with receiver() as there:
            door, url = there.post(), there.url
            with pytest.raises(Undelivered, match=r"no host called nobody\.example"):
                await door.send(read_webhook("https://nobody.example/"), {}, b"")
        with pytest.raises(Undelivered, match="no connection to"):
            await door.send(read_webhook(url), {}, b"")

    run(body())


def test_the_systems_resolver_gives_addresses() -> None:
    async def body() -> None:
        assert set(await resolve("localhost", 1)) <= {"127.0.0.1", "::1"}

    run(body())
