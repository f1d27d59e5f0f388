"""Patches: what git and patch make of them is the other tree, for any two."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steadyd.edits import Work
from steadyd.model import File
from steadyd.patch import COARSE, Change, FilePatch, compare, patch

Tree = dict[str, bytes]
TEXT = st.lists(st.sampled_from(["a", "b", "", "é", "-- x", "+", "\\", "\r", "c d"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "\n".join([*lines, ""])]).map(str.encode)
)
CONTENT = st.one_of(TEXT, TEXT, st.binary(max_size=200))
PATHS = ("index.ts", "lib/db.ts", "my file.txt", 'a"b/ü.txt', "logo.png")
TREES = st.dictionaries(st.sampled_from(PATHS), CONTENT, max_size=5)


def made(before: Tree, after: Tree) -> list[FilePatch]:
    work = Work(100_000)
    return [
        patch(path, before.get(path), after.get(path), work)
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def applied(before: Tree, text: str, *words: str) -> Tree:
    """The tree that a real program makes of `before`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in before.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        done = subprocess.run(words, cwd=folder, input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode() + text
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_git_makes_one_tree_of_the_other(before: Tree, after: Tree) -> None:
    text = "".join(one.text for one in made(before, after))
    if text:
        assert applied(before, text, "git", "apply", "--whitespace=nowarn", "-") == after


FULL = st.dictionaries(st.sampled_from(PATHS), TEXT.filter(bool), max_size=5)


@pytest.mark.skipif(shutil.which("patch") is None, reason="no patch on this machine")
@settings(max_examples=40, deadline=None)
@given(FULL, FULL)
def test_patch_makes_one_tree_of_the_other(before: Tree, after: Tree) -> None:
    """GNU patch knows neither empty files nor binary ones."""
    text = "".join(one.text for one in made(before, after))
    if text:
        assert applied(before, text, "patch", "-p1", "--binary", "-s") == after


def test_a_patch_reads_as_git_writes_it() -> None:
    before = "".join(f"line {number}\n" for number in range(20)).encode()
    after = before.replace(b"line 4\n", b"line four\nand a half\n").replace(b"line 19\n", b"the end")
    one = patch("index.ts", before, after, Work(10_000))
    assert (one.binary, one.added, one.deleted, one.note) == (False, 3, 2, "")
    head, index, *rest = one.text.split("\n")
    assert (head, index[:6], index[-7:]) == ("diff --git a/index.ts b/index.ts", "index ", " 100644")
    assert rest == [
        "--- a/index.ts", "+++ b/index.ts",
        "@@ -2,7 +2,8 @@", " line 1", " line 2", " line 3", "-line 4", "+line four", "+and a half", " line 5",
        " line 6", " line 7",
        "@@ -17,4 +18,4 @@", " line 16", " line 17", " line 18", "-line 19", "+the end",
        "\\ No newline at end of file", "",
    ]  # fmt: skip


def test_what_is_no_text_is_binary() -> None:
    for before, after in ((b"\0", b""), (b"a", b"\xff"), (None, b"\0")):
        one = patch("logo.png", before, after, Work(100))
        assert (one.binary, one.added, one.deleted) == (True, 0, 0)
        assert "GIT binary patch" in one.text


def test_what_differs_too_much_says_so_and_is_right() -> None:
    before, after = (b"".join(b"%d\n" % n for n in range(k, k + 900)) for k in (0, 5_000))
    one = patch("a", before, after, Work(1_000))
    assert (one.note, one.added, one.deleted) == (COARSE, 900, 900)


def test_trees_are_compared_by_content() -> None:
    a, b, c = (File(path, digest, 1) for path, digest in (("a", "1"), ("b", "2"), ("c", "3")))
    changed = File("b", "9", 1)
    assert compare((a, b), (a, b)) == []
    assert compare((a, b), (changed, c)) == [
        Change("a", a, None),
        Change("b", b, changed),
        Change("c", None, c),
    ]
    assert [change.status for change in compare((a, b), (changed, c))] == ["deleted", "modified", "added"]
