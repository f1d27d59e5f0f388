"""A real REPL beside a real instance: what it sees, what it says, and when it ends."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import repl
from steadyd.runner.engine import Engine
from steadyd.runner.repl import Repl, Said
from steadyd.runner.repls import Repls
from tests.runner.conftest import BOTH, COUNTER, HELLO, World, alive, run, until, world

SHOWN = COUNTER + "export const word: string = 'shared';\n"


def left(root: Path) -> list[int]:
    """REPLs of this test's apps that still run: what is mounted in a sandbox shows them, or the folder they work in."""
    found = []
    for pid in alive("repl.ts"):
        with contextlib.suppress(OSError):
            shown = Path(f"/proc/{pid}/mountinfo").read_text() + os.readlink(f"/proc/{pid}/cwd")
            found += [pid] if str(root) in shown else []
    return found


async def ask(session: Repl, code: str) -> tuple[str, str, str]:
    """(what was printed, event, text) of one entry."""
    await session.evaluate(code)
    printed = ""
    async for said in session.events():
        if said.event != "output":
            return printed, said.event, said.text
        printed += said.text
    raise AssertionError("it said nothing more")


async def last(session: Repl) -> str:
    """Wait for its end; the reason."""
    everything: list[Said] = [said async for said in session.events()]
    assert everything[-1].event == "ended"
    return everything[-1].text


async def opened(here: World, repls: Repls, who: str = "somebody") -> Repl:
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
            assert (await ask(session, "await 1; require('./lib/word').word"))[2] == '"shared"'
            assert (await ask(session, "process.env.NODE_ENV"))[2] == '"production"'
            assert "nowhere" in (await ask(session, "await import('nowhere')"))[2]

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
            await until(lambda: left(root) == [])

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
            await until(lambda: left(root) == [])

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
