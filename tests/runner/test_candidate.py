from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import candidate
from steadyd.runner.candidate import HEALTH_BYTES_MAX, check_health
from steadyd.runner.engine import Engine
from steadyd.runner.failure import Failure
from steadyd.runner.instance import Instance
from tests.runner.conftest import BOTH, HELLO, World, run, stage, world

WRITES = """
import { Database } from "bun:sqlite";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
const db = new Database("data.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
mkdirSync("files", { recursive: true });
writeFileSync("files/a.txt", "written");
try { symlinkSync("/etc", "files/link"); } catch {}
export default {
  fetch(request: Request) {
    if (request.method === "POST") db.run("INSERT INTO notes VALUES ('x')");
    return Response.json(db.query("SELECT count(*) AS count FROM notes").get());
  },
};
"""
TELLS = """
import { Database } from "bun:sqlite";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
const { count } = new Database("data.sqlite").query("SELECT count(*) AS count FROM notes").get() as any;
console.log(process.env.STEADY_ENV, process.env.STEADY_VERSION, count, readFileSync("files/a.txt", "utf8"));
console.log(readdirSync(".").join(" "), existsSync("files/link"));
writeFileSync("files/a.txt", "by the trial");
"""


# ------------------------------------------------------------------------------------------------- the health question


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
    monkeypatch.setattr(candidate, "HEALTH_SECONDS_MAX", 0.3)

    async def body() -> None:
        async with answering(root, bun, answer) as (instance, _):
            with pytest.raises(Failure) as caught:
                await check_health(instance, "http://hello.localhost")
            assert reason in caught.value.message
            assert caught.value.lines[0] == "its log"

    run(body())


# ------------------------------------------------------------------------------------------------- the trial


async def trial_log(here: World) -> list[str]:
    lines = await here.logs.tail((await here.app()).id, 100)
    return [line.text for line in lines if line.version == 2 and line.source == "app"]


@BOTH
def test_a_candidate_sees_a_copy_of_everything_while_the_old_version_goes_on(
    root: Path, bun: Engine, sandboxed: bool
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create({"index.ts": WRITES, "old.txt": "shipped"})
            await here.ask(method="POST")
            await here.ask(method="POST")
            waits = TELLS + "await Bun.sleep(200);\n" + WRITES
            deploying = asyncio.create_task(here.deploy({"index.ts": waits, "new.txt": "shipped"}))
            while not deploying.done():
                await here.ask(method="POST")
            await deploying
            tried, *_ = [line.split() for line in await trial_log(here)]
            assert (tried[:2], int(tried[2]) >= 2, tried[3]) == (["trial", "2"], True, "written")
            names, *_ = [line.split() for line in (await trial_log(here))[1:]]
            assert {"data.sqlite", "files", "index.ts", "new.txt"} <= set(names)
            assert (names[-1], "old.txt" in names) == ("false", False), "no link is taken along"
            live = here.fleet.ground.place(await here.app())
            assert (live.app / "files" / "a.txt").read_text() == "written"
            await here.trials.settled()
            assert list(live.scratch.iterdir()) == []

    run(body())


def test_data_that_is_too_large_for_a_copy_is_a_reason(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            for limit, named in (("COPY_FILES_MAX", "more than 1 files"), ("COPY_BYTES_MAX", "more than 1 bytes")):
                with monkeypatch.context() as patched:
                    patched.setattr(candidate, limit, 1)
                    with pytest.raises(SteadyError) as caught:
                        await here.deploy(HELLO)
                assert caught.value.details["step"] == "trial"
                assert named in caught.value.details["reason"]
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


def test_a_copy_has_so_much_time(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "COPY_SECONDS_MAX", 0.001)

    async def body() -> None:
        async with world(root, bun, sandboxed=False) as here:
            await here.create(WRITES)
            await here.ask()
            with pytest.raises(SteadyError) as caught:
                await here.deploy(HELLO)
            assert caught.value.details["step"] == "trial"

    run(body())
