"""A real REPL beside a real instance: what it sees, what it says, and when it ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import repl
from steadyd.runner.engine import Engine
from steadyd.runner.repl import Repls, Said, Session
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, alive, limits, needs_cgroups, run, until, world

SHOWN = COUNTER + "export const word: string = 'shared';\n"


async def ask(session: Session, code: str) -> tuple[str, str, str]:
    """(what was printed, event, text) of one entry."""
    await session.evaluate(code)
    printed = ""
    async for said in session.events():
        if said.event != "output":
            return printed, said.event, said.text
        printed += said.text
    raise AssertionError("it said nothing more")


async def last(session: Session) -> str:
    """Wait for its end; the reason."""
    everything: list[Said] = [said async for said in session.events()]
    assert everything[-1].event == "ended"
    return everything[-1].text


async def opened(here: World, repls: Repls, who: str = "somebody") -> Session:
    return await repls.open(await here.app(), who)


@BOTH
def test_it_evaluates_beside_the_instance(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(SHOWN)
            await here.ask("/", "POST")
            session = await opened(here, Repls(here.fleet))
            assert await ask(session, "const x: number = 20") == ("", "value", "20")
            assert await ask(session, "console.log('said'); x * 2.1") == ("said\n", "value", "42")
            assert await ask(session, "let unset") == ("", "nothing", "")
            assert (await ask(session, "function f() {"))[1] == "incomplete"
            assert (await ask(session, "x +* 2"))[1] == "error"
            assert (await ask(session, "throw new TypeError('mine')"))[1:] == ("error", "TypeError: mine")
            await ask(session, 'import { Database } from "bun:sqlite"; const db = new Database("data.sqlite")')
            assert (await ask(session, "db.query('SELECT count(*) AS c FROM visits').get().c"))[2] == "1"
            await ask(session, "db.run(\"INSERT INTO visits (at) VALUES ('repl')\")")
            assert await here.ask("/", "POST") == "1 3"
            assert (await ask(session, "await Promise.resolve(process.env.STEADY_ENV)"))[2] == '"production"'
            assert (await ask(session, "process.env.STEADY_APP + process.env.STEADY_STATUS_FD"))[
                2
            ] == '"helloundefined"'
            await session.end("")
            assert await here.ask() == "1 3"

    run(body())


@BOTH
def test_modules_begin_in_the_app_s_folder(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create({"index.ts": HELLO, "lib/word.ts": "export const word: string = 'shared'"})
            session = await opened(here, Repls(here.fleet))
            assert (await ask(session, "import { word } from './lib/word.ts'; word"))[2] == '"shared"'
            assert (await ask(session, "require('./lib/word').word"))[2] == '"shared"'
            assert "nowhere" in (await ask(session, "await import('nowhere')"))[2]

    run(body())


@BOTH
def test_it_ends_at_the_hold_and_with_the_app(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            session = await opened(here, repls)
            await here.deploy(HELLO.replace("hello", "two"))
            assert "swapped" in await last(session)
            with pytest.raises(SteadyError) as caught:
                await session.evaluate("1")
            assert caught.value.code == "conflict"
            with pytest.raises(SteadyError) as caught:
                repls.find(await here.app(), "somebody", session.id)
            assert caught.value.code == "not_found"
            session = await opened(here, repls)
            assert session.version == 2
            await here.routes["hello.localhost"].sleep()
            assert (await ask(session, "1"))[1] == "value"
            await here.routes["hello.localhost"].close()
            assert "deleted" in await last(session)
            await until(lambda: alive("repl.ts") == [])

    run(body())


@BOTH
def test_one_of_each_person(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repl, "SESSIONS_MAX", 2)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            first, other = await opened(here, repls, "a"), await opened(here, repls, "b")
            second = await opened(here, repls, "a")
            assert "another" in await last(first)
            assert repls.find(await here.app(), "a", second.id) is second
            with pytest.raises(SteadyError) as caught:
                repls.find(await here.app(), "b", second.id)
            assert caught.value.code == "not_found"
            with pytest.raises(SteadyError) as caught:
                await opened(here, repls, "c")
            assert caught.value.code == "overloaded"
            await other.end("")
            await opened(here, repls, "c")

    run(body())


@BOTH
def test_its_limits(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            session = await opened(here, repls)
            with pytest.raises(SteadyError) as caught:
                await session.evaluate("x" * (repl.CODE_BYTES_MAX + 1))
            assert caught.value.code == "too_large"
            printed, event, _ = await ask(session, "for (let n = 0; n < 1000; n++) console.log('x'.repeat(1000)); 5")
            assert event == "value"
            assert repl.OUTPUT_BYTES_MAX < len(printed) < repl.OUTPUT_BYTES_MAX + 100
            assert f"({1_001_000 - repl.OUTPUT_BYTES_MAX} more bytes" in printed
            assert len((await ask(session, "'y'.repeat(1e6)"))[2]) < 132_000
            for _ in range(9):
                session._said.append(Said("output", "z" * (128 << 10)))
            with pytest.raises(SteadyError) as caught:
                await session.evaluate("1")
            assert "Nobody reads" in caught.value.message
            session._said.clear()
            await session.evaluate("while (true);")
            with pytest.raises(SteadyError) as caught:
                await session.evaluate("1")
            assert caught.value.code == "conflict"
            await session.end("enough")
            assert await last(session) == "enough"

    run(body())


@BOTH
def test_who_types_nothing_loses_it(root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repl, "IDLE_SECONDS_MAX", 0.3)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            session = await opened(here, Repls(here.fleet))
            assert "Nothing was typed" in await last(session)

    run(body())


@BOTH
def test_it_may_end_by_itself(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            repls = Repls(here.fleet)
            session = await opened(here, repls)
            await session.evaluate("process.exit(7)")
            assert "exit code 7" in await last(session)
            session = await opened(here, repls)
            await session.evaluate("require('node:fs').closeSync(3); while (true);")
            await session.end("")
            await until(lambda: alive("repl.ts") == [])

    run(body())


@BOTH
def test_one_that_does_not_listen_is_ended(
    root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repl, "SEND_SECONDS_MAX", 0.3)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            session = await opened(here, Repls(here.fleet))
            stubborn = "process.on('SIGTERM', () => {}); setTimeout(() => { console.log(1); while (true); }, 1)"
            assert (await ask(session, stubborn))[1] == "value"
            await until(lambda: bool(session._said), "its loop")
            session._child.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            await session.evaluate("'" + "é" * 16_000 + "'")
            assert "does not listen" in await last(session)
            await until(lambda: alive("repl.ts") == [])

    run(body())


@BOTH
def test_an_answer_has_an_end(root: Path, bun: Engine, sandboxed: bool) -> None:
    """The app's code can write where its answers come from."""

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            session = await opened(here, Repls(here.fleet))
            await session.evaluate("await Bun.write(Bun.file(3), 'x'.repeat(2 << 20)); while (true);")
            assert "no REPL says" in await last(session)

    run(body())


@BOTH
def test_nobody_waits_for_ever_to_open_one(
    root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repl, "START_SECONDS_MAX", 0.2)

    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create(HELLO)
            async with here.routes["hello.localhost"].operation:
                with pytest.raises(SteadyError) as caught:
                    await opened(here, Repls(here.fleet))
            assert caught.value.code == "conflict"

    run(body())


@BOTH
def test_an_app_that_does_not_start_can_be_looked_into(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        async with world(root, bun, sandboxed) as here:
            await here.create("import { existsSync } from 'node:fs'; if (existsSync('bad')) throw 1;" + HELLO)
            (here.fleet.ground.place(await here.app()).app / "bad").touch()
            await here.routes["hello.localhost"].sleep()
        async with world(root, bun, sandboxed) as here:
            session = await opened(here, Repls(here.fleet))
            assert (await ask(session, "require('node:fs').existsSync('bad')"))[2] == "true"

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_it_has_the_app_s_limits(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with limits() as more, world(root, bun, **more) as here:
            await here.create(HELLO)
            session = await opened(here, Repls(here.fleet, more["spawn"]))
            await session.evaluate("const kept = []; for (;;) kept.push(new Uint8Array(8 << 20).fill(1));")
            reason = await asyncio.wait_for(last(session), 20)
            assert "memory" in reason or "SIGKILL" in reason
            await until(lambda: alive("repl.ts") == [])

    run(body())
