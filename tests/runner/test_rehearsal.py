"""What the app was asked lately, asked again of a candidate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steadyd.errors import SteadyError
from steadyd.runner import rehearsal
from steadyd.runner.deploy import Manner
from steadyd.runner.engine import Engine
from steadyd.runner.rehearsal import NO_REHEARSAL, OPEN, SLOWER_MS, TOLD_MAX, Answer, Difference, Report, Wish, compare
from tests.runner.conftest import World, run, world

SITE = """
import { Database } from "bun:sqlite";
const db = new Database("data.sqlite");
db.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
const count = () => db.query("SELECT count(*) AS n FROM notes").get().n;
export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") db.run("INSERT INTO notes VALUES ('x')");
    if (pathname === "/json") return Response.json({ notes: count() });
    if (pathname === "/random") return new Response("x".repeat(1 + Math.random() * 100000));
    if (pathname === "/stream") return new Response(new ReadableStream({ start: (c) => c.enqueue("tick") }));
    if (pathname === "/gone") return new Response("no", { status: 404 });
    return new Response("hello", { headers: { "content-type": "text/plain" } });
  },
};
"""
ASKED = (("GET", "/"), ("GET", "/json"), ("HEAD", "/"), ("GET", "/random"), ("GET", "/gone"), ("GET", "/stream"))
OK = Answer(200, "text/plain", 5, 1.0)


def wish(*requests: tuple[str, str], strict: bool = False) -> Manner:
    return Manner(rehearsal=Wish(requests or ASKED, strict, True))


def test_what_both_answers_of_the_live_version_agree_on_is_compared() -> None:
    asked = ("GET", "/")
    assert compare(asked, OK, OK, OK) is None
    assert compare(asked, OK, Answer(200, "text/plain", 6), Answer(200, "text/plain", 9)) is None
    found = compare(asked, OK, OK, Answer(500, "text/html", 7, 2.0))
    assert found is not None
    assert (found.what, found.held) == (("status", "content type", "size"), True)
    told = "status 500 instead of 200, content type text/html instead of text/plain, size 7 bytes instead of 5 bytes"
    assert str(found) == f"GET /: {told}"
    slow = compare(asked, OK, Answer(200, "text/plain", 5, 30.0), Answer(200, "text/plain", 5, 91.0))
    assert slow is not None
    assert (slow.what, slow.held) == (("time",), False)
    assert compare(asked, OK, OK, Answer(200, "text/plain", 5, 1.0 + SLOWER_MS)) is None
    assert "no answer instead of 200" in str(compare(asked, OK, OK, Answer(0)))


def test_only_so_many_differences_are_told() -> None:
    found = tuple(Difference("GET", f"/{n}", ("size",), OK, Answer(200, "", OPEN)) for n in range(TOLD_MAX + 2))
    notes = Report(99, found).notes()
    assert notes[0] == f"Rehearsed 99 requests: {TOLD_MAX + 2} answered otherwise."
    assert notes[1] == "GET /0: size no end instead of 5 bytes."
    assert (notes[-1], len(notes)) == ("And 2 more.", TOLD_MAX + 2)
    refusal = Report(99, found).refusal()
    assert refusal is not None
    assert len(refusal.details["differences"]) == TOLD_MAX
    slow = Difference("GET", "/", ("time",), OK, OK)
    assert Report(1, (slow,)).refusal() is None
    assert Report(1).notes() == ("Rehearsed 1 request: all are answered as before.",)


@asynccontextmanager
async def site(root: Path, bun: Engine) -> AsyncIterator[World]:
    async with world(root, bun, sandboxed=False) as here:
        await here.create(SITE)
        for _ in range(3):
            await here.ask("/", "POST")
        yield here


def test_differences_are_told_and_nothing_is_touched(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "ANSWER_SECONDS_MAX", 0.5)
    monkeypatch.setattr(rehearsal, "SLOWER_MS", 10_000.0)  # other tests may want the machine at the same time

    async def body() -> None:
        async with site(root, bun) as here:
            same = await here.deploy(SITE, manner=wish())
            assert same.notes == (f"Rehearsed {len(ASKED)} requests: all are answered as before.",)
            steps = [step["name"] for step in same.deploy.steps]
            assert steps.index("trial") < steps.index("rehearse") < steps.index("switch")
            broken = SITE.replace("Response.json({ notes: count() })", 'new Response("none", { status: 410 })')
            told = await here.deploy(broken + 'db.run("DELETE FROM notes");', manner=wish())
            assert told.notes[0] == f"Rehearsed {len(ASKED)} requests: 1 answered otherwise."
            assert told.notes[1].startswith("GET /json: status 410 instead of 200, content type ")
            [step] = [step for step in told.deploy.steps if step["name"] == "rehearse"]
            assert [said.split(":")[0] for said in step["differences"]] == ["GET /json"]
            await here.workshop.trials.settled()
            assert list(here.fleet.ground.place(await here.app()).scratch.iterdir()) == []

    run(body())


def test_a_strict_one_refuses_and_changes_nothing(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with site(root, bun) as here:
            with pytest.raises(SteadyError) as caught:
                await here.deploy(SITE.replace('"hello"', '"good day"'), manner=wish(("GET", "/"), strict=True))
            details = caught.value.details
            assert (caught.value.code, details["step"]) == ("deploy_failed", "rehearse")
            assert details["differences"] == ["GET /: size 8 bytes instead of 5 bytes"]
            assert (await here.app()).version == 1
            assert await here.ask("/json") == '{"notes":3}'
            fine = await here.deploy(SITE, manner=wish(("GET", "/json"), strict=True))
            assert fine.version.number == 2

    run(body())


def test_where_there_is_nothing_to_ask_that_is_said(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with site(root, bun) as here:
            made = await here.deploy(SITE, manner=Manner(rehearsal=Wish((), True, True)))
            assert made.notes[0].startswith("Nothing was rehearsed: ")
            assert (await here.deploy(SITE, manner=Manner(rehearsal=NO_REHEARSAL))).notes == ()
            assert (await here.create(SITE, "other", manner=wish())).notes == ()

    run(body())


def test_it_takes_so_long_and_no_longer(root: Path, bun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "REHEARSAL_SECONDS_MAX", 0.0)

    async def body() -> None:
        async with site(root, bun) as here:
            made = await here.deploy(SITE, manner=wish())
            assert made.notes == ("Rehearsed 1 request: all are answered as before.",)

    run(body())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html; a=b\r\nContent-Length: 2\r\n\r\nhi", (200, "text/html", 2)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", (200, "", 3)),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100, (200, "", OPEN)),
        (b"SSH-2.0\r\n", (0, "", 0)),
        (b"", (0, "", 0)),
    ],
)  # fmt: skip
def test_an_answer_is_read_within_limits(
    said: bytes, expected: tuple[int, str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "ANSWER_BYTES_MAX", 50)
    monkeypatch.setattr(rehearsal, "ANSWER_SECONDS_MAX", 2.0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
        writer.close()

    async def body() -> None:
        server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
        found = await asyncio.to_thread(rehearsal.ask, str(tmp_path / "s"), "app.localhost", ("GET", "/"))
        assert (found.status, found.content_type, found.size) == expected
        server.close()
        assert rehearsal.ask(str(tmp_path / "none"), "x", ("GET", "/")) == Answer(0)

    asyncio.run(body())
