from __future__ import annotations

from dataclasses import replace

import pytest

from steadyd.model import App, AppState
from steadyd.web.listing import PAGE_MAX, QUERY_CHARACTERS_MAX, SORTS, Row, Wish, listed, read_wish

APP = App("a", 1, "a", "o", "Ada", 1, False, False, 0.0, 0.0)


def row(name: str, number: int, state: AppState = AppState.STOPPED, owner: str = "Ada") -> Row:
    app = replace(APP, name=name, owner_name=owner, updated_at=float(number))
    return Row(app, state, "", number, number / 10, number or None, number)


ROWS = [row("beta", 1, owner="bob"), row("alpha", 3, AppState.RUNNING), row("gamma", 2)]


@pytest.mark.parametrize("sort", [*SORTS])
def test_a_list_is_sorted_by_whatever_it_shows(sort: str) -> None:
    names = [found.app.name for found in listed(ROWS, Wish(sort=sort)).rows]
    by = {"name": ["alpha", "beta", "gamma"], "owner": ["alpha", "gamma", "beta"]}
    assert names == by.get(sort, ["alpha", "gamma", "beta"])


def test_it_is_searched_by_name_and_owner_and_state() -> None:
    found = listed(ROWS, Wish(q="BOB"))
    assert ([each.app.name for each in found.rows], found.total, found.found) == (["beta"], 3, 1)
    found = listed(ROWS, Wish(q="a", state="running"))
    assert [each.app.name for each in found.rows] == ["alpha"]
    assert found.states == {"running": 1, "stopped": 2}  # also those that are not shown


def test_it_comes_by_the_page() -> None:
    many = [row(f"app-{number:04}", number) for number in range(2 * PAGE_MAX + 1)]
    pages = [listed(many, Wish(sort="name", page=page)) for page in (1, 2, 3, 99)]
    assert [len(page.rows) for page in pages] == [PAGE_MAX, PAGE_MAX, 1, 1]
    assert {page.pages for page in pages} == {3}
    assert pages[3].wish.page == 3
    assert listed([], Wish()).pages == 1


def test_an_address_that_makes_no_sense_asks_for_everything() -> None:
    said = {"q": " x ", "state": "running", "sort": "memory", "page": "2"}
    assert read_wish(said) == Wish("x", "running", "memory", 2)
    for page in ("0", "-1", "x", "٣", "9" * 30, ""):
        assert read_wish({"q": "", "state": "<b>", "sort": "size", "page": page}) == Wish()
    assert len(read_wish({"q": "x" * 999}).q) == QUERY_CHARACTERS_MAX


def test_another_address_of_the_list_keeps_what_is_said() -> None:
    listing = listed(ROWS, Wish("a", "stopped", "name", 1))
    assert listing.query(page=2) == {"q": "a", "state": "stopped", "sort": "name", "page": 2}
    assert listing.query(state="") == {"q": "a", "sort": "name"}
    assert listed(ROWS, Wish()).query() == {}
