"""A request of the platform's own to a real app: in its turn, answered or not, and told in the logs."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steadyd.errors import SteadyError
from steadyd.model import Cron
from steadyd.proxy.service import Barrier, Holder, Service, Waiter
from steadyd.runner.app import AppRuntime
from steadyd.runner.engine import Engine
from steadyd.runner.errand import TOLD_CHARACTERS_MAX, Errand, Errands, Told
from steadyd.runner.visit import ANSWER_BYTES_MAX, CLAIMS_MAX, HEAD_BYTES_MAX
from tests.runner.conftest import HELLO, QUICK, ask, run, stage, until

SIGNED = b"tick\n2026-01-01T00:00:00Z\n7\n2"
MOMENT = 1_767_225_600.0  # 2026-01-01
ECHO = """
export let calls: any[] = [];
export async function nightly(event: any, env: any, context: any) {
  context.waitUntil(Bun.sleep(5).then(() => calls.push("waited")));
  calls.push({ ...event, env: env.STEADY_APP });
}
export function broken() { throw new Error("no luck today"); }
async function* pieces() {
  yield "a";
  await Bun.sleep(5);
  yield "b";
}
export default {
  scheduled(event: any) { calls.push(`scheduled ${event.cron} ${this !== undefined}`); },
  async fetch(request: Request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/calls") return Response.json(calls);
    if (pathname === "/never") await new Promise(() => {});
    if (pathname === "/die") process.exit(3);
    if (pathname === "/moved") return new Response(null, { status: 308, headers: { location: "/" } });
    if (pathname === "/long") return new Response("x".repeat(4 << 20));
    if (pathname === "/stream") return new Response(pieces as any);
    if (pathname === "/fail") return new Response("x".repeat(5000), { status: 503 });
    return Response.json({ method: request.method, headers: Object.fromEntries(request.headers), url: request.url });
  },
};
"""

PRINT = """
export default {
  fetch(request: Request) {
    console.log(JSON.stringify([request.method, request.url, [...request.headers]]));
    return new Response();
  },
};
"""


def errand(**said: str) -> Errand:
    return Errand("a", Cron("tick", "@hourly", **said), MOMENT, 2, 7)


class Door:
    """A service whose instance answers as it is told to: nothing but bytes, or not at all."""

    owned_by_steadyd = False
    hidden = False
    barrier: Barrier | None = None
    body_bytes_max: int | None = None
    id = name = "a"

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self.pool: list[Any] = []
        self.version, self.retired = 1, False
        self.claims = self.held = self.refusals = 0
        self.holders: list[Holder] = []

    def claim(self, holder: Holder) -> None:
        self.claims += 1
        self.held += 1
        self.holders.append(holder)
        holder.granted(self)

    def forget(self, holder: Holder) -> None:
        raise AssertionError("nobody waits here")

    def unreachable(self) -> None:
        self.refusals += 1

    def broke_off(self, holder: Holder) -> None: ...

    def release(self, holder: Holder) -> None:
        self.held -= 1


async def key(app_id: str) -> str:
    return "secret"


class Sender:
    """Errands to one app, and what the logs were told."""

    def __init__(self, runtime: Service | None, seconds: float = 20.0) -> None:
        self.told: list[Told] = []
        self.said: list[str] = []
        self.errands = Errands(
            lambda _: runtime, lambda name: f"http://{name}.localhost:8080", self.told.append,
            lambda app_id, version, text: self.said.append(text), key, seconds,
        )  # fmt: skip


async def calls(runtime: AppRuntime) -> list[object]:
    """What the app remembers."""
    status, body = await ask(runtime, "/calls")
    assert status == 200
    return list(json.loads(body))


def test_a_path_is_asked_of_a_sleeping_app_with_what_it_is_about(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(PRINT))
            sender = Sender(runtime)
            result = await sender.errands.run(errand(path="/tick?a=1", method="POST"))
            assert (result.outcome, result.status, result.error, result.version) == ("ok", 200, "", 1)
            assert result.ms > 0
            assert made.starts == 1
            await until(lambda: runtime.instance is not None and runtime.instance.pump.recent)
            assert runtime.instance is not None
            method, url, headers = json.loads(next(line for line in runtime.instance.pump.recent if line[0] == "["))
            assert (method, url) == ("POST", "http://a.localhost:8080/tick?a=1")
            said = {name: value for name, value in headers if name.startswith("steady-cron")}
            assert said == {
                "steady-cron": "tick",
                "steady-cron-attempt": "2",
                "steady-cron-run": "7",
                "steady-cron-scheduled-at": "2026-01-01T00:00:00Z",
                "steady-cron-signature": hmac.new(b"secret", SIGNED, "sha256").hexdigest(),
            }
            (told,) = sender.told
            assert (told.method, told.path, told.status, told.version, told.error) == ("POST", "/tick", 200, 1, "")
            assert 0 < told.gate_seconds <= told.total_seconds
            assert "Cron “tick”: done in" in sender.said[0]
            assert runtime.instance.claims == 0

    run(body())


def test_an_exported_function_is_called_and_waited_for(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(ECHO, calls=True))
            sender = Sender(runtime)
            for name in ("nightly", "scheduled"):
                result = await sender.errands.run(errand(export=name))
                assert (result.outcome, result.status) == ("ok", 204), result
            first, waited, second = await calls(runtime)
            assert first == {
                "type": "scheduled", "cron": "@hourly", "id": "tick", "scheduledTime": MOMENT * 1000, "attempt": 2,
                "run": 7, "env": "a",
            }  # fmt: skip
            assert (waited, second) == ("waited", "scheduled @hourly true")
            assert [(told.method, told.path) for told in sender.told] == [
                ("CALL", "nightly()"),
                ("CALL", "scheduled()"),
            ]
            broken = await sender.errands.run(errand(export="broken"))
            assert (broken.outcome, broken.status, broken.error) == ("failed", 500, "It answered 500. no luck today")
            absent = await sender.errands.run(errand(export="absent"))
            assert (absent.outcome, absent.status) == ("failed", 404)
            assert "exports no function “absent”" in absent.error

    run(body())


@pytest.mark.parametrize(
    ("path", "outcome", "status", "said"),
    [
        ("/moved", "failed", 308, "A redirect is not followed."),
        ("/fail", "failed", 503, "It answered 503. xxx"),
        ("/die", "failed", 0, "It did not answer with HTTP, or ended before its answer did"),
        ("/long", "ok", 200, ""),
        ("/stream", "ok", 200, ""),
    ],
)
def test_how_it_can_end(root: Path, bun: Engine, path: str, outcome: str, status: int, said: str) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            sender = Sender(made.runtime(made.plan(ECHO)))
            result = await sender.errands.run(errand(path=path))
            assert (result.outcome, result.status) == (outcome, status), result
            assert said in result.error
            assert len(result.error) < TOLD_CHARACTERS_MAX + 100
            assert sender.told[0].answer_bytes < 2 * ANSWER_BYTES_MAX
            assert (sender.told[0].status, sender.told[0].error) == (
                (502, "app_died") if path == "/die" else (status, "")
            )

    run(body())


def test_what_is_not_answered_in_time_is_given_up(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(ECHO))
            sender = Sender(runtime, seconds=1.0)
            result = await sender.errands.run(errand(path="/never"))
            assert (result.outcome, result.error) == ("failed", "It was not answered within 1 s.")
            assert (sender.told[0].status, sender.told[0].error) == (504, "app_timeout")
            assert runtime.instance is not None
            assert runtime.instance.claims == 0

    run(body())


def test_a_swap_cuts_it_at_the_drains_end(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(ECHO))
            asked = asyncio.ensure_future(Sender(runtime).errands.run(errand(path="/never")))
            await until(lambda: runtime.instance is not None and runtime.instance.claims)
            async with runtime.swap():
                pass
            result = await asked
            assert (result.outcome, result.error) == ("failed", "The app was replaced and had not answered in time.")

    run(body())


def test_an_app_that_may_not_run_is_not_asked(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(HELLO))
            await runtime.sleep(hold=True)
            result = await Sender(runtime).errands.run(errand(path="/"))
            assert (result.outcome, result.error) == ("skipped", "This app is held: its owner stopped it for now.")
            assert (await Sender(None).errands.run(errand(path="/"))).outcome == "skipped"

    run(body())


def test_one_that_cannot_start_is_a_failure(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            sender = Sender(made.runtime(made.plan("throw new Error('no')"), replace(QUICK, start_seconds=2.0)))
            result = await sender.errands.run(errand(path="/"))
            assert (result.outcome, result.status) == ("failed", 0)
            assert sender.told[0].error in ("app_failed", "gate_timeout")

    run(body())


def test_an_instance_that_is_gone_is_not_asked_for_ever(root: Path) -> None:
    async def body() -> None:
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind(str(root / "s"))
        door = Door(root / "s")
        result = await Sender(door).errands.run(errand(path="/"))
        assert (result.outcome, result.error) == ("failed", "The app stopped before it could be asked.")
        assert (door.claims, door.refusals, door.held) == (CLAIMS_MAX, CLAIMS_MAX, 0)

    run(body())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX, "failed"),
        (b"SSH-2.0\r\n\r\n", "failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n", "failed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "failed"),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 OK\r\n\r\n", "ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "ok"),
        (b"", "failed"),
    ],
)
def test_whatever_comes_back_it_ends(root: Path, answer: bytes, outcome: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            writer.write(answer)
            await writer.drain()
        writer.close()

    async def body() -> None:
        async with await asyncio.start_unix_server(serve, root / "s"):
            door = Door(root / "s")
            sender = Sender(door)
            assert (await sender.errands.run(errand(path="/"))).outcome == outcome
            assert (door.claims, door.held, len(sender.told)) == (1, 0, 1)

    run(body())


class Staged:
    """A barrier that opens, or never does."""

    def __init__(self, problem: str = "", away: bool = False) -> None:
        self.problem = problem
        self.away = away
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    def refusal(self) -> SteadyError | None:
        return self.late() if self.away else None

    def holds(self, waiter: Waiter, size: int) -> bool:
        raise NotImplementedError

    def forget(self, waiter: Waiter) -> None:
        raise NotImplementedError

    def late(self) -> SteadyError:
        return SteadyError("not_replicated", "It may be kept.")

    async def settle(self) -> None:
        self.reached.set()
        await self.go_on.wait()
        if self.problem:
            raise SteadyError("not_replicated", self.problem)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("problem", ["", "It is not in the replica."])
def test_it_has_run_when_the_replica_has_what_it_wrote(root: Path, problem: str) -> None:
    async def body() -> None:
        async with await asyncio.start_unix_server(answers, root / "s"):
            door = Door(root / "s")
            door.barrier = barrier = Staged(problem)
            running = asyncio.ensure_future(Sender(door).errands.run(errand(path="/")))
            await barrier.reached.wait()
            assert (door.held, running.done()) == (1, False)
            barrier.go_on.set()
            result = await running
            assert (result.outcome, result.error, door.held) == ("failed" if problem else "ok", problem, 0)

    run(body())


def test_it_is_not_asked_where_no_answer_could_be_believed(root: Path) -> None:
    async def body() -> None:
        door = Door(root / "s")
        door.barrier = Staged(away=True)
        result = await Sender(door).errands.run(errand(path="/"))
        assert (result.outcome, door.claims) == ("failed", 0)

    run(body())


def test_a_swap_that_cannot_wait_for_the_replica_says_so(root: Path) -> None:
    async def body() -> None:
        async with await asyncio.start_unix_server(answers, root / "s"):
            door = Door(root / "s")
            door.barrier = barrier = Staged()
            running = asyncio.ensure_future(Sender(door).errands.run(errand(path="/")))
            await barrier.reached.wait()
            (holder,) = door.holders
            holder.cut()
            result = await running
            assert (result.outcome, result.error, door.held) == ("failed", "It may be kept.", 0)

    run(body())


def test_whoever_stops_waiting_leaves_nothing_behind(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime = made.runtime(made.plan(ECHO))
            for condition in (
                lambda: len(runtime._gate),
                lambda: runtime.instance is not None and runtime.instance.claims,
            ):
                asked = asyncio.ensure_future(Sender(runtime).errands.run(errand(path="/never")))
                await until(condition)
                asked.cancel()
                await asyncio.wait([asked])
                assert len(runtime._gate) == 0
                await until(lambda: runtime.instance is not None and not runtime.instance.claims)

    run(body())
