"""A patch as rows: what stands beside what."""

from __future__ import annotations

from steadyd.edits import Work
from steadyd.patch import patch
from steadyd.web.hunks import LINE_CHARACTERS_MAX, WITHOUT_END, Row, rows


def made(before: str | None, after: str | None) -> list[Row]:
    old, new = (None if text is None else text.encode() for text in (before, after))
    return list(rows(patch("a b.txt", old, new, Work(10_000)).text))


def test_what_went_stands_beside_what_came() -> None:
    assert made("1\n2\n3\n4\n5\n", "1\nzwei\ndrei\n2b\n4\n5\n") == [
        Row("gap", 1, "", 1),
        Row("same", 1, "1", 1, "1"),
        Row("changed", 2, "2", 2, "zwei"),
        Row("changed", 3, "3", 3, "drei"),
        Row("changed", 0, "", 4, "2b"),
        Row("same", 4, "4", 5, "4"),
        Row("same", 5, "5", 6, "5"),
    ]


def test_a_new_file_and_one_that_is_gone_have_one_side() -> None:
    assert made(None, "a\nb\n")[1:] == [Row("changed", 0, "", 1, "a"), Row("changed", 0, "", 2, "b")]
    assert made("a\n", None)[1:] == [Row("changed", 1, "a", 0, "")]


def test_each_hunk_begins_at_its_line() -> None:
    lines = [str(number) for number in range(1, 41)]
    other = ["first", *lines[1:29], "thirty", *lines[30:]]
    found = made("\n".join(lines), "\n".join(other))
    assert [row for row in found if row.kind == "gap"] == [Row("gap", 1, "", 1), Row("gap", 27, "", 27)]
    assert Row("changed", 30, "30", 30, "thirty") in found
    assert found[-1] == Row("same", 33, "33", 33, "33")


def test_lines_that_look_like_a_patch_are_lines() -> None:
    before, after = "--- a\n@@ -1 +1 @@\n\\ x\n", "+++ b\n@@ -9 +9 @@\n\\ y\n"
    assert [(row.was, row.text) for row in made(before, after)[1:]] == list(
        zip(before.split("\n")[:-1], after.split("\n")[:-1], strict=True)
    )


def test_a_missing_end_of_line_is_said_and_a_long_line_cut() -> None:
    assert made("a\n", "a")[1] == Row("changed", 1, "a", 1, "a" + WITHOUT_END)
    assert len(made(None, "x" * 10_000 + "\n")[1].text) == LINE_CHARACTERS_MAX + 1


def test_a_binary_file_has_no_rows() -> None:
    assert list(rows(patch("x", b"\0", b"\1\0", Work(10)).text)) == []
