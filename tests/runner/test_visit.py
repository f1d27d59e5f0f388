"""A request of our own. How it can go wrong is tested with errands, in test_errand.py."""

from __future__ import annotations

from pathlib import Path

from steadyd.runner.engine import Engine
from steadyd.runner.visit import Question, Visit
from tests.runner.conftest import run, stage

ECHO = """
export default {
  fetch: (request: Request) => new Response("x".repeat(100), { headers: { "x-method": request.method } }),
};
"""


def asked(method: str) -> Question:
    return Question(method, "/", f"{method} / HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n".encode())


def test_it_wakes_the_app_and_keeps_as_much_of_the_answer_as_is_wanted(root: Path, bun: Engine) -> None:
    async def body() -> None:
        async with stage(root, bun, sandboxed=False) as made:
            runtime, heads = made.runtime(made.plan(ECHO)), 0

            def headed() -> None:
                nonlocal heads
                heads += 1

            visit = Visit(asked("GET"), 10)
            visit.on_head = headed
            await visit.ask(runtime)
            assert (visit.status, visit.answer, visit.answer_bytes, visit.version, heads) == (200, b"x" * 10, 100, 1, 1)
            assert ("x-method", "GET") in [(name.lower(), value) for name, value in visit.fields]
            assert 0 < visit.granted_at <= visit.answered_at
            assert visit.describe() == ("GET", "/")
            head = Visit(asked("HEAD"), 10)
            await head.ask(runtime)
            assert (head.status, head.answer, head.answer_bytes) == (200, b"", 0)
            assert made.starts == 1

    run(body())
