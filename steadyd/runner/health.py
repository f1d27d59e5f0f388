"""The health request: whether an instance that listens also answers, and has what its crons call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from steadyd.runner.failure import Failure
from steadyd.runner.instance import Instance
from steadyd.runner.start import CALLS

HEALTH_SECONDS_MAX = 10.0
HEALTH_BYTES_MAX = 64 << 10
FOUND = 204


async def check_health(instance: Instance, origin: str, path: str = "/") -> None:
    """Ask GET `path` on the instance's socket.

    Raises:
        Failure: it answered 500 or above, something else than HTTP, or nothing in time.
    """
    problem = ""
    try:
        async with asyncio.timeout(HEALTH_SECONDS_MAX):
            status = await _ask(instance.address, origin.partition("://")[2], path)
        if status >= 500:
            problem = f"GET {path} answered {status}."
    except TimeoutError:
        problem = f"GET {path} was not answered within {HEALTH_SECONDS_MAX:g} s."
    except (OSError, ValueError, IndexError, asyncio.IncompleteReadError):
        problem = f"GET {path} was not answered with HTTP."
    if problem:
        await asyncio.sleep(0)  # let the log pump take what the app said about it
        raise Failure("exit", problem, instance.uptime_seconds or 0.0, None, None, list(instance.pump.recent))


async def check_exports(instance: Instance, exports: Mapping[str, str]) -> None:
    """See that the functions are there that crons name; `exports` is cron's id → export.

    Raises:
        Failure: one is not.
    """
    address = str(Path(instance.address).with_name(CALLS))
    for cron_id, name in exports.items():
        status = 0
        with contextlib.suppress(TimeoutError, OSError, ValueError, IndexError, asyncio.IncompleteReadError):
            async with asyncio.timeout(HEALTH_SECONDS_MAX):
                status = await _ask(address, "localhost", f"/{name}")
        if status != FOUND:
            problem = f"The cron “{cron_id}” names the function “{name}”, which the app's entry does not export."
            uptime = instance.uptime_seconds or 0.0
            raise Failure("exit", problem, uptime, None, None, list(instance.pump.recent))


# Private


async def _ask(socket: str, host: str, path: str) -> int:
    reader, writer = await asyncio.open_unix_connection(socket, limit=HEALTH_BYTES_MAX)
    try:
        head = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "User-Agent: steadyd-trial",
            "Accept: */*",
            "Connection: close",
        )
        writer.write("\r\n".join((*head, "", "")).encode())
        line = await reader.readuntil(b"\r\n")
        return int(line.split(b" ")[1])
    except asyncio.LimitOverrunError as error:
        raise ValueError("not a status line") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
