from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd import tree
from steadyd.errors import SteadyError
from steadyd.tree import (
    NO_LIMITS,
    SQLITE_HEADER,
    TreeLimits,
    check_path,
    check_tree,
    find_entry,
    holds_database,
    read_package,
)


def refusal(files: dict[str, bytes]) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        check_tree(files)
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../b", "./a", "a//b", "a/", ".", "..", "a\\b", "a\x00b", "a\nb", "a\x7f",
        "node_modules/x/index.js", "\ud800", "e\u0301.ts", "x" * 256, "/".join(["abcdefghijklmno"] * 33),
    ],
)  # fmt: skip
def test_bad_paths_are_named(path: str) -> None:
    with pytest.raises(SteadyError) as caught:
        check_path(path)
    assert caught.value.code == "invalid_path"
    assert "path" in caught.value.details


@pytest.mark.parametrize("path", ["index.ts", "a/b/c.txt", ".hidden", "a b.txt", "é.ts", "…", "a/node_modules.ts"])
def test_good_paths(path: str) -> None:
    assert check_path(path) == path


@given(st.text())
def test_no_path_leaves_the_folder(path: str) -> None:
    try:
        parts = check_path(path).split("/")
    except SteadyError:
        return
    assert ".." not in parts
    assert "" not in parts


def test_path_limits() -> None:
    part = "p" * tree.PATH_PART_BYTES_MAX
    assert check_path(part) == part
    assert check_path("/".join(["d"] * tree.PATH_DEPTH_MAX))
    for path in (part + "p", "/".join(["d"] * (tree.PATH_DEPTH_MAX + 1)), f"{part}/{part}/xx"):
        with pytest.raises(SteadyError):
            check_path(path)
    assert len(f"{part}/{part}/xx") == tree.PATH_BYTES_MAX + 2


def test_the_number_of_files_is_limited() -> None:
    files = {f"{number}.txt": b"" for number in range(tree.FILES_MAX - 1)} | {"index.ts": b""}
    assert check_tree(files) == files
    assert refusal(files | {"more.txt": b""}).code == "too_large"


def test_a_file_s_size_is_limited() -> None:
    fits = bytes(tree.FILE_BYTES_MAX)
    assert check_tree({"index.ts": fits})
    error = refusal({"index.ts": b"", "big.bin": fits + b"x"})
    assert (error.code, error.details["path"]) == ("too_large", "big.bin")


def test_the_tree_s_size_is_limited() -> None:
    piece = bytes(tree.FILE_BYTES_MAX)
    files = {f"{number}.bin": piece for number in range(tree.TREE_BYTES_MAX // tree.FILE_BYTES_MAX)}
    assert refusal(files | {"index.ts": b"x"}).code == "too_large"
    assert check_tree(files | {"index.ts": b""})


@pytest.mark.parametrize(
    ("limits", "option"),
    [(TreeLimits(1, 0, 0), "--files"), (TreeLimits(0, 3, 0), "--file-size"), (TreeLimits(0, 0, 5), "--app-size")],
)
def test_what_is_too_much_names_the_option(limits: TreeLimits, option: str) -> None:
    files = {"index.ts": b"1234", "a.txt": b"12"}
    with pytest.raises(SteadyError) as caught:
        check_tree(files, limits)
    assert (caught.value.code, caught.value.details["option"]) == ("too_large", option)
    assert option in caught.value.message
    assert check_tree(files, TreeLimits(2, 4, 6)) == files


def test_0_is_no_limit() -> None:
    files = {f"{number}.txt": b"" for number in range(tree.FILES_MAX)}
    assert check_tree(files | {"index.ts": bytes(tree.TREE_BYTES_MAX + 1)}, NO_LIMITS)


def test_names_that_no_folder_can_hold_together() -> None:
    assert refusal({"index.ts": b"", "Index.ts": b""}).details == {"path": "Index.ts", "other": "index.ts"}
    assert refusal({"index.ts": b"", "a": b"", "a/b": b""}).code == "invalid_path"
    assert refusal({"index.ts": b"", "a/b/c": b"", "A": b""}).code == "invalid_path"


@pytest.mark.parametrize(
    ("files", "entry"),
    [
        ({"index.ts": b"", "index.js": b"", "index.html": b""}, "index.ts"),
        ({"index.jsx": b""}, "index.jsx"),
        ({"package.json": b'{"main": "./src/app.ts"}', "src/app.ts": b""}, "src/app.ts"),
        ({"package.json": b'{"module": "a.mjs", "main": "b.js"}', "a.mjs": b"", "b.js": b""}, "a.mjs"),
        ({"package.json": b'{"main": "./src/app"}', "src/app.js": b""}, "src/app.js"),
        ({"package.json": b'{"main": "src/"}', "src/index.ts": b""}, "src/index.ts"),
        ({"package.json": b'{"main": ""}', ".ts": b"", "index.html": b""}, ""),
        ({"package.json": b'{"main": "data.json"}', "data.json": b"", "index.html": b""}, ""),
        ({"index.html": b""}, ""),
    ],
)
def test_the_entry_point(files: dict[str, bytes], entry: str) -> None:
    assert find_entry(files) == entry


@pytest.mark.parametrize("files", [{}, {"readme.md": b""}, {"package.json": b'{"main": "gone.ts"}'}])
def test_nothing_to_run(files: dict[str, bytes]) -> None:
    with pytest.raises(SteadyError) as caught:
        find_entry(files)
    assert caught.value.code == "no_entry"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"1", b"[" * 100_000])
def test_a_broken_package_json_is_named(content: bytes) -> None:
    with pytest.raises(SteadyError) as caught:
        read_package({"package.json": content})
    assert (caught.value.code, caught.value.details["file"]) == ("invalid", "package.json")


def test_a_database_is_known_by_its_first_bytes_and_while_it_is_empty_by_its_name() -> None:
    assert holds_database("data", SQLITE_HEADER + b"rest")
    assert holds_database("a/data.sqlite", b"")
    assert not holds_database("notes.txt", b"")
    assert not holds_database("data.sqlite", b"no database")
