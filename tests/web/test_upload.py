"""Every form a body may take, and every way it may be wrong: its 4xx, its code, and nothing written."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from typing import Any

import httpx
import pytest

from steadyd.settings import Policy
from steadyd.tree import FILE_BYTES_MAX, FILES_MAX, TreeLimits
from steadyd.web.body import JSON_BYTES_MAX
from tests.web.conftest import HELLO, Stage, Web, code

LOGO = bytes(range(256))


def tar_gz(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def sent_as(kind: str, content: bytes) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": kind} if kind else {}}


TREE = {"index.ts": HELLO, "logo.png": LOGO}
BOTH: dict[str, dict[str, Any]] = {
    "json": {"json": {"files": {"index.ts": HELLO.decode(), "logo.png": {"base64": base64.b64encode(LOGO).decode()}}}},
    "multipart": {"files": {path: (path, content) for path, content in TREE.items()}},
    "gzip": sent_as("application/gzip", tar_gz(**TREE)),
    "tar": sent_as("application/x-tar", tar_gz(**TREE)),
    "zip": sent_as("application/zip", zipped(**TREE)),
    "an archive in curl's own type": sent_as("application/x-www-form-urlencoded", tar_gz(**TREE)),
}


@pytest.mark.parametrize("form", BOTH)
def test_each_form_brings_the_same_files(web: Web, form: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = await client.put("/api/apps/hello", **BOTH[form])
            assert made.status_code == 201, made.text
            listed = (await client.get("/api/apps/hello/versions/1/files")).json()["files"]
            assert [file["path"] for file in listed] == ["index.ts", "logo.png"]
            for path, content in TREE.items():
                assert (await client.get(f"/api/apps/hello/versions/1/files/{path}")).content == content

    web(body)


@pytest.mark.parametrize(
    "kind",
    [
        "", "text/plain", "text/plain; charset=utf-8", "application/typescript", "application/javascript",
        "application/x-www-form-urlencoded", "application/octet-stream", "TEXT/PLAIN",
    ],
)  # fmt: skip
def test_a_bare_source_is_index_ts(web: Web, kind: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps?name=hello", **sent_as(kind, HELLO))
            assert made.status_code == 201, made.text
            listed = (await client.get("/api/apps/hello/versions/1/files")).json()["files"]
            assert [file["path"] for file in listed] == ["index.ts"]

    web(body)


def test_multipart_fields_are_options(web: Web) -> None:
    """`-F name=hello -F temporary=true -F index.ts=@index.ts`."""

    async def body(stage: Stage) -> None:
        form: dict[str, Any] = {"name": (None, "hello"), "temporary": (None, "true"), "index.ts": ("index.ts", HELLO)}
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps", files=form)
        assert made.json()["app"]["name"] == "hello"
        assert made.json()["app"]["temporary"] is True

    web(body)


def test_an_archive_says_what_it_leaves_out(web: Web) -> None:
    async def body(stage: Stage) -> None:
        packed = tar_gz(**{"app/index.ts": HELLO, "app/.env": b"A=1", "app/node_modules/x/a.js": b""})
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps?name=hello", **sent_as("application/gzip", packed))
        assert made.json()["left_out"] == [
            {"path": ".env", "reason": "may hold secrets"},
            {"path": "node_modules/", "reason": "installed from package.json"},
        ]

    web(body)


def test_a_shipped_env_file_is_named(web: Web) -> None:
    async def body(stage: Stage) -> None:
        files = {"index.ts": HELLO.decode(), ".env": "A=1"}
        async with stage.client(stage.operator_token) as client:
            made = await client.post("/api/apps", json={"files": files})
        assert any(".env" in note for note in made.json()["notes"])

    web(body)


def raw(content: bytes) -> dict[str, Any]:
    return sent_as("application/json", content)


def files(**named: Any) -> dict[str, Any]:
    return {"json": {"files": named}}


def multipart(content: bytes) -> dict[str, Any]:
    return sent_as("multipart/form-data; boundary=b", content)


BAD: dict[str, tuple[dict[str, Any], int, str, str]] = {
    # what: (request, status, code, a word that names the offending item)
    "no body": (raw(b""), 422, "invalid", "files"),
    "unknown field": ({"json": {"files": {}, "owner": "me"}}, 422, "invalid", "owner"),
    "files of the wrong type": ({"json": {"files": ["index.ts"]}}, 422, "invalid", "$.files"),
    "name of the wrong type": ({"json": {"name": ["a"], "files": {}}}, 422, "invalid", "$.name"),
    "number for a file": (files(**{"index.ts": 5}), 422, "invalid", "files"),
    "null for a file": (files(**{"index.ts": None}), 422, "invalid", "files"),
    "deep arrays": (raw(b"[" * 100_000), 422, "invalid", "array"),
    "deep objects": (raw(b'{"files":' * 100_000), 422, "invalid", "files"),
    "duplicate field": (raw(b'{"name": "a", "name": "b", "files": {}}'), 422, "invalid", "name"),
    "duplicate file": (raw(b'{"files": {"index.ts": "a", "index.ts": "b"}}'), 422, "invalid", "index.ts"),
    "lone surrogate": (raw(b'{"files": {"index.ts": "\\ud800"}}'), 400, "bad_request", "JSON"),
    "lone surrogate in a path": (raw(b'{"files": {"\\udc00.ts": ""}}'), 400, "bad_request", "JSON"),
    "not UTF-8": (raw(b'{"files": {"index.ts": "\xff"}}'), 400, "bad_request", "JSON"),
    "infinite number": (raw(b'{"files": {}, "temporary": 1e400}'), 422, "invalid", "temporary"),
    "no JSON": (raw(b"{'files': {}}"), 400, "bad_request", "JSON"),
    "NaN": (raw(b"NaN"), 400, "bad_request", "JSON"),
    "two documents": (raw(b'{"files": {}} {}'), 400, "bad_request", "JSON"),
    "a byte order mark": (raw(b"\xef\xbb\xbf{}"), 400, "bad_request", "JSON"),
    "NUL in a path": (raw(b'{"files": {"a\\u0000b": ""}}'), 422, "invalid_path", "control"),
    "NUL in the name": (raw(b'{"name": "a\\u0000b", "files": {"index.ts": ""}}'), 422, "invalid_name", "name"),
    "parent path": (files(**{"../x.ts": ""}), 422, "invalid_path", "../x.ts"),
    "absolute path": (files(**{"/etc/passwd": ""}), 422, "invalid_path", "/etc/passwd"),
    "parent inside": (files(**{"a/../../x": ""}), 422, "invalid_path", "a/../../x"),
    "backslashes": (files(**{"a\\..\\x": ""}), 422, "invalid_path", "a\\\\..\\\\x"),
    "empty path": (files(**{"": ""}), 422, "invalid_path", "names no file"),
    "dot": (files(**{".": ""}), 422, "invalid_path", "“.”"),
    "trailing slash": (files(**{"a/": ""}), 422, "invalid_path", "a/"),
    "long path": (files(**{"x" * 5_000: ""}), 422, "invalid_path", "xxx"),
    "case collision": (files(**{"index.ts": "", "INDEX.ts": ""}), 422, "invalid_path", "INDEX.ts"),
    "two forms of an accent": (files(**{"e\u0301.ts": ""}), 422, "invalid_path", "NFC"),
    "file and folder": (files(**{"a": "", "a/b": "", "index.ts": ""}), 422, "invalid_path", "a/b"),
    "node_modules": (files(**{"node_modules/a.js": ""}), 422, "invalid_path", "node_modules"),
    "no entry": (files(**{"readme.md": "hi"}), 422, "no_entry", "index.ts"),
    "no files": (files(), 422, "no_entry", "index.ts"),
    "broken package.json": (files(**{"package.json": "{", "main.ts": ""}), 422, "invalid", "package.json"),
    "not base64": (files(**{"index.ts": {"base64": "é"}}), 422, "invalid", "index.ts"),
    "extra field beside base64": (files(**{"index.ts": {"base64": "", "mode": 1}}), 422, "invalid", "mode"),
    "too many files": (files(**{f"f{n}": "" for n in range(FILES_MAX + 1)}), 413, "too_large", str(FILES_MAX)),
    "large file": (files(**{"index.ts": "x" * (FILE_BYTES_MAX + 1)}), 413, "too_large", "index.ts"),
    "large JSON": (raw(b" " * (JSON_BYTES_MAX + 1)), 413, "too_large", "32 MiB"),
    "large source": (sent_as("text/plain", b"x" * (FILE_BYTES_MAX + 1)), 413, "too_large", "10MiB"),
    "reserved name": ({"json": {"name": "api", "files": {"index.ts": ""}}}, 422, "invalid_name", "api"),
    "bad name": ({"json": {"name": "Hello!", "files": {"index.ts": ""}}}, 422, "invalid_name", "Hello!"),
    "variables": ({"json": {"files": {"index.ts": "1"}, "env": {"PORT": "1"}}}, 422, "invalid", "“PORT” cannot be set"),
    "remix": ({"json": {"from": "other"}}, 404, "not_found", "“other”"),
    "merge into nothing": ({"json": {"files": {"index.ts": ""}, "merge": True}}, 422, "invalid", "merge"),
    "another type": (sent_as("image/png", LOGO), 415, "unsupported_media_type", "image/png"),
    "empty source": (sent_as("text/plain", b"  \n"), 422, "invalid", "empty"),
    "source that is not text": (sent_as("text/plain", LOGO), 422, "invalid", "UTF-8"),
    "source with NUL": (sent_as("text/plain", b"a\0b"), 422, "invalid", "NUL"),
    "no boundary": (sent_as("multipart/form-data", b""), 400, "bad_request", "boundary"),
    "cut multipart": (multipart(b'--b\r\nContent-Disposition: form-data; name=a\r\n\r\n'), 400, "bad_request", "ends"),
    "broken multipart": (multipart(b"hello"), 400, "bad_request", "multipart"),
    "part without a name": (
        multipart(b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"), 422, "invalid", "no name",
    ),
    "not an archive": (sent_as("application/zip", b"hello"), 422, "invalid_archive", "archive"),
    "cut archive": (sent_as("application/gzip", tar_gz(**TREE)[:60]), 422, "invalid_archive", "archive"),
}  # fmt: skip


SMALL: dict[str, dict[str, Any]] = {
    "files": files(**{"index.ts": HELLO.decode(), "a": "", "b": "", "c": ""}),
    "file-size": files(**{"index.ts": HELLO.decode() + " " * 400}),
    "app-size": files(**{"index.ts": HELLO.decode(), "a": "x" * 300, "b": "x" * 300}),
}


@pytest.mark.parametrize("option", SMALL)
def test_the_operator_says_how_much_an_app_ships(web: Web, option: str) -> None:
    """More or less than by default, in a create, a deploy and a merge; 0 is no limit."""

    async def body(stage: Stage) -> None:
        await stage.app("hello")
        stage.rooms.apps.policy = Policy(tree=TreeLimits(3, 400, 600))
        merged: dict[str, Any] = {"json": {**SMALL[option]["json"], "merge": True}}
        async with stage.client(stage.operator_token) as client:
            for name, request in (("new", SMALL[option]), ("hello", SMALL[option]), ("hello", merged)):
                refused = await client.put(f"/api/apps/{name}", **request)
                assert (refused.status_code, code(refused)) == (413, "too_large"), refused.text
                assert f"this server's --{option}." in refused.text
            stage.rooms.apps.policy = Policy(tree=TreeLimits(0, 0, 0))
            assert (await client.put("/api/apps/hello", **merged)).is_success

    web(body)


@pytest.mark.parametrize("form", BOTH)
def test_every_form_keeps_to_what_the_operator_says(web: Web, form: str) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            for limits in (TreeLimits(files=1), TreeLimits(file_bytes=255), TreeLimits(app_bytes=260)):
                stage.rooms.apps.policy = Policy(tree=limits)
                refused = await client.put("/api/apps/hello", **BOTH[form])
                assert (code(refused), "this server's --" in refused.text) == ("too_large", True), refused.text
        assert await stage.nothing_is_written()

    web(body)


PUT_DIFFERS = ("merge into nothing", "null for a file", "remix", "reserved name", "bad name", "NUL in the name")
"""A PUT's name is in its path, and its body may be a deploy's."""


@pytest.mark.parametrize(
    ("method", "what"), [("POST", what) for what in BAD] + [("PUT", what) for what in BAD if what not in PUT_DIFFERS]
)
def test_a_bad_body_is_refused_by_name_and_nothing_is_written(web: Web, method: str, what: str) -> None:
    request, status, expected, word = BAD[what]

    async def body(stage: Stage) -> None:
        url = "/api/apps" if method == "POST" else "/api/apps/hello"
        async with stage.client() as client:
            refused = await client.request(method, url, **request)
        assert (refused.status_code, code(refused)) == (status, expected), refused.text
        assert word in refused.text, refused.text
        assert await stage.nothing_is_written()

    web(body)


def test_a_body_past_the_limit_is_refused_before_it_is_read(web: Web) -> None:
    """By its declared length at once; by what really came otherwise."""

    async def body(stage: Stage) -> None:
        small = stage.rebuilt(body_bytes_max=1_000)

        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 1_000

        async with small.client() as client:
            for kind in ("application/json", "text/plain", "application/gzip", "multipart/form-data; boundary=b"):
                declared = await client.post("/api/apps", **sent_as(kind, b"x" * 1_001))
                assert (declared.status_code, code(declared)) == (413, "too_large")
                chunked = await client.post("/api/apps", content=endless(), headers={"content-type": kind})
                assert (chunked.status_code, code(chunked)) in ((413, "too_large"), (400, "bad_request"))
        assert await stage.nothing_is_written()

    web(body)


def test_query_and_body_must_not_contradict(web: Web) -> None:
    async def body(stage: Stage) -> None:
        async with stage.client(stage.operator_token) as client:
            for url in ("/api/apps?name=other", "/api/apps?nmae=hello", "/api/apps?name=a&name=b", "/api/apps?merge=x"):
                refused = await client.post(url, json={"name": "hello", "files": {"index.ts": ""}})
                assert (refused.status_code, code(refused)) == (422, "invalid"), url
            refused = await client.put("/api/apps/hello", json={"name": "other", "files": {"index.ts": ""}})
            assert (refused.status_code, code(refused)) == (422, "invalid")
            agreed = await client.put("/api/apps/hello?name=hello", content=HELLO)
            assert agreed.status_code == 201

    web(body)


def test_wrong_bodies_never_break_the_server(web: Web) -> None:
    """Type confusion in every field: always 4xx or 501."""
    odd: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], {}, {"a": {"b": []}}, [[[]]], "\u0000", "\u202e"]

    async def body(stage: Stage) -> None:
        async with stage.client() as client:
            for field in ("name", "files", "env", "temporary", "from", "merge", "base_version", "trial", "test", "x"):
                for value in odd:
                    answer: httpx.Response = await client.post(
                        "/api/apps", content=json.dumps({field: value}), headers={"content-type": "application/json"}
                    )
                    assert 400 <= answer.status_code < 500 or code(answer) == "not_implemented", (field, value)
        assert await stage.nothing_is_written()

    web(body)
