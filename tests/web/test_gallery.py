"""Templates are ordinary apps that ship with the package."""

from __future__ import annotations

import pytest

from steadyd.errors import SteadyError
from steadyd.tree import check_tree
from steadyd.web.gallery import OPENING, TEMPLATES, files_of
from steadyd.web.shipped import folder


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_is_an_app_whose_entry_comes_first(name: str) -> None:
    files = files_of(name)
    check_tree({path: text.encode() for path, text in files.items()})
    assert next(iter(files)).startswith("index.")
    assert files.keys() == {
        path.relative_to(folder("examples") / name).as_posix()
        for path in (folder("examples") / name).rglob("*")
        if path.is_file()
    }


def test_the_opening_one_keeps_data() -> None:
    assert "bun:sqlite" in files_of(OPENING)["index.ts"]


@pytest.mark.parametrize("name", ["", "multi-file/../hello", "../templates", "none\udc80"])
def test_nothing_else_is_read(name: str) -> None:
    with pytest.raises(SteadyError) as caught:
        files_of(name)
    assert caught.value.code == "not_found"
