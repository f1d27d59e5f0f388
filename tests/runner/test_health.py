"""The health request: what counts as an answer, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.runner import health
from steadyd.runner.engine import Engine
from steadyd.runner.failure import Failure
from steadyd.runner.health import HEALTH_BYTES_MAX, check_exports, check_health
from steadyd.runner.instance import Instance
from tests.runner.conftest import HELLO, run, stage


@asynccontextmanager
async def answering(root: Path, bun: Engine, answer: bytes | None) -> AsyncIterator[tuple[Instance, list[bytes]]]:
    """A real instance, with something else behind its address; None never answers."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with stage(root, bun, sandboxed=False) as ground:
        instance = await ground.starter.start(ground.plan('console.log("its log");' + HELLO), 10.0)
        server = await asyncio.start_unix_server(serve, root / "other.sock")
        instance.address, own = str(root / "other.sock"), instance.address
        try:
            yield instance, heard
        finally:
            server.close()
            instance.address = own
            await instance.stop(1.0)


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"302 Found", b"499 x", b"101 Switching Protocols"])
def test_below_500_is_healthy(status: bytes, root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with answering(root, bun, b"HTTP/1.1 " + status + b"\r\n\r\n") as (instance, heard):
            await check_health(instance, "http://hello.localhost:8080")
            assert b"\r\nHost: hello.localhost:8080\r\n" in heard[0]

    run(body())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 x\r\n\r\n", "GET / answered 500."),
        (b"HTTP/1.1 599 x\r\n\r\n", "GET / answered 599."),
        (b"HTTP/1.1 huh x\r\n\r\n", "not answered with HTTP"),
        (b"\r\n", "not answered with HTTP"),
        (b"", "not answered with HTTP"),
        (b"x" * (HEALTH_BYTES_MAX + 10), "not answered with HTTP"),
        (None, "not answered within"),
    ],
)
def test_anything_else_is_not(
    answer: bytes | None, reason: str, root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "HEALTH_SECONDS_MAX", 0.3)

    async def body() -> None:
        async with answering(root, bun, answer) as (instance, _):
            with pytest.raises(Failure) as caught:
                await check_health(instance, "http://hello.localhost")
            assert reason in caught.value.message
            assert caught.value.lines[0] == "its log"

    run(body())


def test_another_path_can_be_asked(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with answering(root, bun, b"HTTP/1.1 503 x\r\n\r\n") as (instance, heard):
            with pytest.raises(Failure) as caught:
                await check_health(instance, "http://hello.localhost", "/up?deep=1")
            assert heard[0].startswith(b"GET /up?deep=1 HTTP/1.1\r\n")
            assert caught.value.message == "GET /up?deep=1 answered 503."

    run(body())


def test_what_crons_call_must_be_there(root: Path, bun: Engine) -> None:
    source = "export function tidy() {}\nexport const broken = 5;\n" + HELLO

    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as ground:
            instance = await ground.starter.start(ground.plan(source, calls=True), 10.0)
            try:
                await check_exports(instance, {})
                await check_exports(instance, {"a": "tidy", "b": "fetch"})
                for name in ("absent", "broken"):
                    with pytest.raises(Failure, match=f"The cron “c” names the function “{name}”"):
                        await check_exports(instance, {"a": "tidy", "c": name})
            finally:
                await instance.stop(1.0)

    run(body())
