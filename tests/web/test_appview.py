"""What the app's page gathers: what the editor takes, and the code around a mistake."""

from __future__ import annotations

from steadyd.errors import SteadyError
from steadyd.web.appview import EDITOR_BYTES_MAX, EDITOR_FILES_MAX, Edit, excerpt, gather, place_of
from tests.web.conftest import HELLO, Stage, Web


def test_the_editor_takes_what_a_textarea_can_hold(web: Web) -> None:
    """Binary, too large and too many files are listed, not edited; nothing is lost of them."""

    async def body(stage: Stage) -> None:
        tree = {"index.ts": HELLO, "logo.png": b"\0\xff", "nul.txt": b"a\0b", "big.txt": b"x" * EDITOR_BYTES_MAX}
        tree |= {f"many/{number:03}.txt": b"" for number in range(EDITOR_FILES_MAX + 5)}
        async with stage.client(stage.operator_token) as client:
            made = await client.put("/api/apps/hello", files={path: (path, body) for path, body in tree.items()})
            assert made.status_code == 201, made.text
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        view = await gather(stage.rooms, app, Edit())
        assert len(view.files) == EDITOR_FILES_MAX
        assert {"logo.png", "nul.txt"} <= {file.path for file in view.other_files}
        assert len(view.files) + len(view.other_files) == len(tree)
        assert [file.path for file in view.files if file.selected] == ["index.ts"]

    web(body)


def test_a_text_that_a_textarea_would_change_says_so(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            files = {"index.ts": HELLO.decode(), "lines.txt": "ü\r\n"}
            await client.post("/api/apps", json={"name": "hello", "files": files})
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        view = await gather(stage.rooms, app, Edit())
        assert {file.path: file.raw_size for file in view.files} == {"index.ts": 0, "lines.txt": 4}
        assert view.woke_ms is None
        await stage.rooms.controller.stop(stage.operator, app, False)
        await stage.rooms.controller.start(stage.operator, app)
        await stage.settled()
        assert (await gather(stage.rooms, app, Edit())).woke_ms

    web(body)


def test_a_mistake_selects_its_file_and_shows_the_lines_around(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            files = {"index.ts": HELLO.decode(), "lib.ts": "1\n2\n3\n4\n5\n6\n7\n8"}
            await client.post("/api/apps", json={"name": "hello", "files": files})
        app = await stage.rooms.apps.by_name("hello")
        assert app is not None
        error = SteadyError("deploy_failed", "No.", {"file": "lib.ts", "line": 5, "logs": []})
        view = await gather(stage.rooms, app, Edit(files={"lib.ts": "a\nb\nc\nd\ne\nf\ng\nh\ni"}, error=error))
        assert [(file.path, file.problem_line) for file in view.files if file.selected] == [("lib.ts", 5)]
        assert view.excerpt == [(2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f"), (7, "g"), (8, "h")]

    web(body)


def test_an_excerpt_stays_inside_the_file() -> None:
    texts = {"a": "1\n2\n3"}
    assert excerpt(texts, ("a", 1)) == [(1, "1"), (2, "2"), (3, "3")]
    assert excerpt(texts, ("a", 99)) == []
    assert excerpt(texts, ("b", 1)) == []
    assert excerpt(texts, None) == []


def test_a_place_is_a_file_and_a_line() -> None:
    assert place_of(None) is None
    assert place_of(SteadyError("deploy_failed", "x", {"file": "a", "line": 3})) == ("a", 3)
    for details in ({}, {"file": "a"}, {"file": 1, "line": 1}, {"file": "a", "line": 0}, {"file": "a", "line": "3"}):
        assert place_of(SteadyError("deploy_failed", "x", details)) is None
