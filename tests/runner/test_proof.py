"""Mistakes in a developer's folder, found by real Bun before it is run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from steadyd.runner import proof
from steadyd.runner.bundle import Fault
from steadyd.runner.local import engine_in
from steadyd.runner.proof import Proof, in_place, source_line
from steadyd.runner.tool import Tools

HELLO = "export default { fetch: () => new Response('hello') };\n"


def with_proof(tmp_path: Path, files: dict[str, str], body: Callable[[Proof], Awaitable[None]]) -> None:
    folder = tmp_path / "a {b}"
    folder.mkdir()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)

    async def run() -> None:
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        async with asyncio.timeout(60):
            await body(Proof(Tools(engine_in(tmp_path / "engine"), sandboxed=False), folder, environ))

    asyncio.run(run())


def test_what_would_stop_a_start(tmp_path: Path) -> None:
    files = {
        "index.ts": "import { word } from './lib/word.ts';\n" + HELLO + "console.log(word);\n",
        "lib/word.ts": "export const word = 1;\nexport const = ;\n",
        "missing.ts": "import { word } from './nowhere.ts';\nimport { Hono } from 'hono';\nconsole.log(word, Hono);\n",
        "package.ts": "import { Hono } from 'hono';\nconsole.log(Hono);\n",
        "a{0}.ts": HELLO,
    }

    async def body(proof: Proof) -> None:
        found = await proof.faults("index.ts")
        assert (found[0].file, found[0].line, found[0].column) == ("lib/word.ts", 2, 14)
        assert in_place(found[0])[1:] == ["  export const = ;", "               ^"]
        assert [fault.specifier for fault in await proof.faults("missing.ts")] == ["./nowhere.ts"]
        assert await proof.faults("package.ts") == ()
        assert await proof.faults("a{0}.ts") == ()
        assert await proof.faults("") == ()

    with_proof(tmp_path, files, body)


def test_what_plugins_may_read_is_not_judged(tmp_path: Path) -> None:
    async def body(proof: Proof) -> None:
        assert await proof.faults("index.ts") == ()

    with_proof(tmp_path, {"index.ts": "const = ;", "bunfig.toml": ""}, body)


def test_types_where_they_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "TYPE_FAULTS_MAX", 2)
    files = {"index.ts": "const a: number = 'x';\n" * 1 + "export const b: string = 1;\nexport const c: string = 2;\n"}

    async def body(proof: Proof) -> None:
        assert await proof.types("index.ts") == ((), 0)
        (proof._folder / "tsconfig.json").write_text('{"compilerOptions": {"strict": true}}')
        found, count = await proof.types("index.ts")
        assert ([(fault.file, fault.line, fault.column) for fault in found], count) == (
            [("index.ts", 1, 7), ("index.ts", 2, 14)],
            3,
        )
        assert in_place(found[0]) == [
            "index.ts:1:7: TS2322: Type 'string' is not assignable to type 'number'.",
            "  const a: number = 'x';",
            "        ^",
        ]

    with_proof(tmp_path, files, body)


def test_a_line_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"one\n\xff\n")
    assert [source_line(tmp_path, "a.ts", line) for line in (1, 2, 3, 4, 0)] == ["one", "�", "", "", ""]
    assert source_line(tmp_path, "b.ts", 1) == ""
    assert in_place(Fault("it is", "a.ts", 3, 1, "")) == ["a.ts:3:1: it is"]
