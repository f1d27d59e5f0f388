"""Two versions compared through the API."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

import pytest

from steadyd.patch import COARSE
from steadyd.web import diffs
from tests.test_patch import applied
from tests.web.conftest import HELLO, Stage, Web, code

FIRST = {"index.ts": HELLO, "a.txt": b"one\ntwo\n", "gone.txt": b"bye\n", "logo.png": b"\0\1"}
SECOND = {"index.ts": HELLO, "a.txt": b"one\nTWO\nthree\n", "new.txt": b"hi\n", "logo.png": b"\0\2"}
DIFF = "/api/apps/hello/versions/1/diff/2"


async def two_versions(stage: Stage, first: dict[str, bytes], second: dict[str, bytes]) -> None:
    async with stage.client(stage.operator_token) as client:
        for tree in (first, second):
            files = {path: {"base64": base64.b64encode(content).decode()} for path, content in tree.items()}
            answer = await client.put("/api/apps/hello", json={"files": files, "trial": False})
            assert answer.status_code == 201, answer.text


def test_a_diff_names_each_file_and_how_it_changed(web: Web) -> None:
    async def body(stage: Stage) -> None:
        await two_versions(stage, FIRST, SECOND)
        async with stage.client(stage.operator_token) as client:
            diff = (await client.get(DIFF)).json()["diff"]
            assert (diff["from"], diff["to"]) == (1, 2)
            assert [(f["path"], f["status"], f["binary"], f["added"], f["deleted"]) for f in diff["files"]] == [
                ("a.txt", "modified", False, 2, 1),
                ("gone.txt", "deleted", False, 0, 1),
                ("logo.png", "modified", True, 0, 0),
                ("new.txt", "added", False, 1, 0),
            ]
            assert {f["note"] for f in diff["files"]} == {""}
            back = (await client.get("/api/apps/hello/versions/2/diff/1")).json()["diff"]
            assert [f["status"] for f in back["files"]] == ["modified", "added", "modified", "deleted"]
            same = (await client.get("/api/apps/hello/versions/1/diff/1")).json()["diff"]
            assert same == {"from": 1, "to": 1, "files": []}

    web(body)


@pytest.mark.parametrize("kind", ["text/x-diff", "text/plain"])
def test_as_text_it_is_a_patch_that_git_takes(web: Web, kind: str) -> None:
    async def body(stage: Stage) -> None:
        await two_versions(stage, FIRST, SECOND)
        async with stage.client(stage.operator_token, accept=kind) as client:
            answer = await client.get(DIFF)
            assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
            assert await asyncio.to_thread(applied, FIRST, answer.text, "git", "apply", "-") == SECOND

    web(body)


@pytest.mark.parametrize("path", ["1/diff/9", "9/diff/1", "1/diff/x", "0/diff/1"])
def test_a_version_that_is_not_there_cannot_be_compared(web: Web, path: str) -> None:
    async def body(stage: Stage) -> None:
        await stage.app("hello")
        async with stage.client(stage.operator_token) as client:
            answer = await client.get(f"/api/apps/hello/versions/{path}")
            assert (answer.status_code, code(answer)) == (404, "not_found")

    web(body)


def test_what_is_too_large_or_too_different_says_so(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffs, "COMPARED_BYTES_MAX", 30_000)
    monkeypatch.setattr(diffs, "STEPS_MAX", 1_000)
    numbers = [b"".join(b"%d\n" % number for number in range(k, k + 900)) for k in (0, 5_000)]
    first = {"index.ts": HELLO, "big.bin": os.urandom(40_000), "numbers.txt": numbers[0], "z.txt": b"1\n"}
    second = {"index.ts": HELLO, "big.bin": os.urandom(40_000), "numbers.txt": numbers[1], "z.txt": b"2\n"}

    async def body(stage: Stage) -> None:
        await two_versions(stage, first, second)
        async with stage.client(stage.operator_token) as client:
            big, far, near = (await client.get(DIFF)).json()["diff"]["files"]
            assert (big["patch"], big["note"]) == ("", diffs.TOO_LARGE)
            assert (far["added"], far["deleted"], far["note"]) == (900, 900, COARSE)
            assert (near["added"], near["deleted"]) == (1, 1)
            refused = await client.get(DIFF, headers={"accept": "text/x-diff"})
            assert (refused.status_code, code(refused)) == (413, "too_large")

    web(body)


def test_diffs_wait_for_each_other_and_are_refused_past_the_line(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(stage: Stage) -> None:
        await two_versions(stage, FIRST, SECOND)
        go, compared = asyncio.Event(), diffs._compared

        async def slow(*given: Any) -> Any:
            await go.wait()
            return await compared(*given)

        monkeypatch.setattr(diffs, "_compared", slow)
        async with stage.client(stage.operator_token) as client:
            asked = [asyncio.create_task(client.get(DIFF)) for _ in range(20)]
            refused = await next(asyncio.as_completed(asked))
            assert code(refused) == "overloaded"
            go.set()
            statuses = sorted([(await one).status_code for one in asked])
            assert statuses == [200] * 17 + [503] * 3

    web(body)
