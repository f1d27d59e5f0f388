from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from steadyd.control import ControlPlane, recorded
from steadyd.errors import SteadyError
from steadyd.proxy.service import Upstream

SECONDS_MAX = 10


class Asker:
    """A holder that asks one question as soon as it is granted."""

    def __init__(self) -> None:
        self.upstream: Upstream | None = None

    def granted(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def refused(self, error: SteadyError) -> None:
        raise AssertionError(error)

    def describe(self) -> tuple[str, str]:
        return "GET", "/"

    def wind_down(self) -> None: ...

    def cut(self) -> None: ...


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI app of two lines."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})


async def ask(address: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


def test_the_log_has_no_secret_and_nothing_of_whoever_looks_at_it() -> None:
    secrets = {"/login/s3cret": "/login/…", "/signup/s3cret/x": "/signup/…", "/reset/s": "/reset/…"}
    plain = {path: path for path in ("/", "/login", "/apps/steadyd/logs", "/api/apps/steady", "/healthz")}
    own = dict.fromkeys(("/apps/steady/live", "/apps/steady/logs", "/api/apps/steady/requests"))
    for path, kept in {**secrets, **plain, **own}.items():
        assert recorded(path) == kept


def test_the_control_plane_is_a_service_that_is_always_granted(tmp_path: Path) -> None:
    async def body() -> None:
        control, asker = ControlPlane(tmp_path / "control.sock", 123), Asker()
        await control.open(hello)
        control.claim(asker)
        assert asker.upstream
        assert (control.body_bytes_max, asker.upstream.retired, control.asked) == (123, False, 1)
        async with asyncio.timeout(SECONDS_MAX):
            answer = await ask(asker.upstream.address)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"\r\n\r\nhi")
            assert b"server:" not in answer.lower()
            asker.upstream.release(asker)
            await control.close()
        assert asker.upstream.retired

    asyncio.run(body())
