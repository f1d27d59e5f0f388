"""The static server: the files of a folder, and nothing that is not meant to be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.runner.engine import SCRIPTS
from tests.runner.bun_app import BunApp, write_files

BIG = "".join(f"{number}\n" for number in range(50_000))
FILES = {
    "index.html": "<h1>front</h1>",
    "style.css": "body {}",
    "app.js": "1",
    "page.svg": "<svg/>",
    "a b/ü.txt": "unicode",
    "sub/index.html": "sub",
    "bare/note.txt": "note",
    "big.txt": BIG,
    "empty.txt": "",
    ".env": "SECRET=1",
    ".git/config": "secret",
    "package.json": "{}",
    "steady.json": "{}",
    "sub/package.json": "{}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BunApp]:
    folder = write_files(tmp_path_factory.mktemp("site") / "app", FILES)
    write_files(folder.parent, {"outside.txt": "outside"})
    (folder / "inside.css").symlink_to("style.css")
    (folder / "out.txt").symlink_to("../outside.txt")
    (folder / "out").symlink_to("..")
    (folder / "env.txt").symlink_to(".env")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    with BunApp(folder, str(SCRIPTS / "static.ts")) as app:
        app.wait("ready")
        yield app


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/", "text/html;charset=utf-8", "<h1>front</h1>"),
        ("/index.html", "text/html;charset=utf-8", "<h1>front</h1>"),
        ("/?q=1", "text/html;charset=utf-8", "<h1>front</h1>"),
        ("/style.css", "text/css;charset=utf-8", "body {}"),
        ("/inside.css", "text/css;charset=utf-8", "body {}"),
        ("/app.js", "text/javascript;charset=utf-8", "1"),
        ("/page.svg", "image/svg+xml", "<svg/>"),
        ("/a%20b/%C3%BC.txt", "text/plain;charset=utf-8", "unicode"),
        ("/sub/", "text/html;charset=utf-8", "sub"),
        ("/empty.txt", "text/plain;charset=utf-8", ""),
        ("/big.txt", "text/plain;charset=utf-8", BIG),
    ],
)
def test_files_with_their_types(site: BunApp, path: str, kind: str, text: str) -> None:
    answer = site.get(path)
    assert (answer.status, answer.headers["Content-Type"], answer.text) == (200, kind, text)
    head = site.get(path, method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.text) == (200, str(len(answer.body)), "")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/bare/",
        "/bare",
        "/style.css/",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/package.json",
        "/steady.json",
        "/sub/package.json",
        "/env.txt",
        "/out.txt",
        "/out/outside.txt",
        "/out/",
        "/loop",
        "/pipe",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/sub/../../outside.txt",
        "/" + "x" * 5000,
    ],
)
def test_what_is_not_there_for_the_public(site: BunApp, path: str) -> None:
    answer = site.get(path)
    assert (answer.status, answer.text) == (404, "Not found\n")


@pytest.mark.parametrize("path", ["/..%2foutside.txt", "/%zz", "/a%00b", "/a%5c..%5cb"])
def test_paths_that_mean_mischief(site: BunApp, path: str) -> None:
    assert site.get(path).status == 400


@pytest.mark.parametrize(
    ("path", "location"), [("/sub", "/sub/"), ("/sub?a=%20b", "/sub/?a=%20b"), ("//sub", "/sub/"), ("//sub//", None)]
)
def test_a_folder_is_answered_below_its_slash(site: BunApp, path: str, location: str | None) -> None:
    """A location never begins with two slashes: that would name a host."""
    answer = site.get(path)
    assert (answer.status, answer.headers["Location"]) == (308 if location else 200, location)


def test_other_methods(site: BunApp) -> None:
    answer = site.get("/", method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_what_has_not_changed_is_not_sent_again(site: BunApp) -> None:
    """RFC 9110 section 13.2.2."""
    headers = site.get("/style.css").headers
    etag, modified = headers["ETag"], headers["Last-Modified"]
    assert headers["Cache-Control"] == "no-cache"
    for condition in (
        {"If-None-Match": etag},
        {"If-None-Match": f'"other", W/{etag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": modified},
    ):
        answer = site.get("/style.css", condition)
        assert (answer.status, answer.text, answer.headers["ETag"]) == (304, "", etag)
    for condition in (
        {"If-None-Match": '"other"', "If-Modified-Since": modified},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
    ):
        assert site.get("/style.css", condition).status == 200


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=280000-", slice(280_000, None)),
        ("bytes=280000-99999999", slice(280_000, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=-99999999", slice(0, None)),
    ],
)
def test_ranges(site: BunApp, asked: str, part: slice) -> None:
    """RFC 9110 section 14.2."""
    answer = site.get("/big.txt", {"Range": asked})
    first = part.indices(len(BIG))[0]
    assert (answer.status, answer.text) == (206, BIG[part])
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(BIG)}"
    assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_ranges_beyond_the_end(site: BunApp, asked: str) -> None:
    answer = site.get("/big.txt", {"Range": asked})
    assert (answer.status, answer.headers["Content-Range"], answer.text) == (416, f"bytes */{len(BIG)}", "")


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x-y"])
def test_ranges_that_are_ignored(site: BunApp, asked: str) -> None:
    assert site.get("/style.css", {"Range": asked}).status == 200


def test_a_range_of_another_version_is_the_whole_file(site: BunApp) -> None:
    etag = site.get("/style.css").headers["ETag"]
    assert site.get("/style.css", {"Range": "bytes=0-1", "If-Range": etag}).status == 206
    assert site.get("/style.css", {"Range": "bytes=0-1", "If-Range": '"other"'}).status == 200


def test_a_page_of_its_own_for_what_is_missing(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.html": "front", "404.html": "gone fishing"})
    with BunApp(tmp_path, str(SCRIPTS / "static.ts")) as app:
        app.wait("ready")
        answer = app.get("/nothing")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html;charset=utf-8")
        assert answer.text == "gone fishing"
        assert app.get("/nothing", method="HEAD").status == 404


def test_a_changed_file_is_served_as_changed(tmp_path: Path) -> None:
    write_files(tmp_path, {"index.html": "old"})
    with BunApp(tmp_path, str(SCRIPTS / "static.ts")) as app:
        app.wait("ready")
        etag = app.get().headers["ETag"]
        write_files(tmp_path, {"index.html": "newer"})
        answer = app.get("/", {"If-None-Match": etag})
        assert (answer.status, answer.text) == (200, "newer")
