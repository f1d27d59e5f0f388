from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.records import requests as module
from steadyd.records.heads import Heads
from steadyd.records.requests import OPEN_FILES_MAX, Asking, Found, Request, Requests


def request(path: str = "/") -> Request:
    return Request(0, 1_000_000.0, "id", "GET", path, 200, "", "127.0.0.1", 1, 2, 3, 4, 5)


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[Requests]:
    made = Requests(lambda app_id: tmp_path / app_id)
    (tmp_path / "a").mkdir()
    yield made
    made.close()


def tail(requests: Requests, count: int, after: int = 0, app_id: str = "a") -> list[str]:
    return [found.path for found in asyncio.run(requests.tail(app_id, count, after))]


def test_requests_are_numbered_in_order_and_read_from_the_end(requests: Requests) -> None:
    stored = requests.store("a", [request("/1"), request("/2")])
    assert [row.id for row in stored] == [1, 2]
    assert [row.id for row in requests.store("a", [request("/3")])] == [3]
    assert asyncio.run(requests.tail("a", 1))[0].path == "/3"
    assert tail(requests, 2) == ["/2", "/3"]
    assert tail(requests, 10, after=1) == ["/2", "/3"]


def test_an_app_that_is_gone_costs_nothing(requests: Requests, tmp_path: Path) -> None:
    assert requests.store("gone", [request()]) == []
    assert tail(requests, 10, app_id="gone") == []
    assert not (tmp_path / "gone").exists()


def test_the_log_keeps_only_so_many_rows(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_PER_APP_MAX", 50)
    monkeypatch.setattr(module, "TRIM_EVERY_ROWS", 10)
    for number in range(20):
        requests.store("a", [request(f"/{number}")] * 10)
    assert 50 <= len(tail(requests, 1_000)) < 60


def test_what_may_be_asked_again_is_found_once_each_the_oldest_first(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(count: int) -> list[str]:
        return [path for _, path in asyncio.run(requests.repeatable("a", count))]

    assert found(5) == []
    plain = [replace(request(path), repeatable=True) for path in ("/1", "/2", "/1", "/3")]
    others = [request("/query"), replace(plain[0], path="/left", status=499), replace(plain[0], path="/x", error="x")]
    requests.store("a", [*plain, *others, replace(plain[0], path="/gone", status=404)])
    assert found(5) == ["/2", "/1", "/3", "/gone"]
    assert found(2) == ["/3", "/gone"]
    monkeypatch.setattr(module, "LOOKED_THROUGH_MAX", 5)
    assert found(5) == ["/3", "/gone"]


def test_only_so_many_files_are_open_at_once(requests: Requests, tmp_path: Path) -> None:
    names = [f"app{number}" for number in range(OPEN_FILES_MAX + 5)]
    for name in names:
        (tmp_path / name).mkdir()
        requests.store(name, [request(f"/{name}")])
    assert len(requests._open) == OPEN_FILES_MAX
    assert [tail(requests, 1, app_id=name) for name in names] == [[f"/{name}"] for name in names]


def test_a_forgotten_app_s_file_is_closed_and_can_come_back(requests: Requests) -> None:
    requests.store("a", [request("/1")])
    requests.forget("a")
    requests.forget("a")
    assert tail(requests, 10) == ["/1"]


def found(requests: Requests, asking: Asking, before: int = 0, after: int | None = None) -> tuple[list[int], Found]:
    page = asyncio.run(requests.find("a", asking, before, after))
    return [request.id for request in page.requests], page


def test_requests_are_read_by_the_page_both_ways(requests: Requests) -> None:
    requests.store("a", [request(f"/{number}") for number in range(1, 26)])
    ids, page = found(requests, Asking(10))
    assert (ids, page.older, page.newer) == (list(range(16, 26)), True, False)
    ids, page = found(requests, Asking(10), before=page.first)
    assert (ids, page.older, page.newer) == (list(range(6, 16)), True, True)
    ids, page = found(requests, Asking(10), before=page.first)
    assert (ids, page.older) == ([1, 2, 3, 4, 5], False)
    ids, page = found(requests, Asking(10), after=page.last)
    assert (ids, page.newer) == (list(range(6, 16)), True)
    assert found(requests, Asking(10), after=25)[0] == []


def test_what_one_asks_for_is_the_same_in_sql_and_of_one_that_just_ended(requests: Requests) -> None:
    several = [
        replace(request("/a"), at=10.0, status=200, method="POST"),
        replace(request("/b"), at=20.0, status=404, total_us=2_000_000),
        replace(request("/b/c"), at=30.0, status=502, error="app_died", version=2),
    ]
    stored = requests.store("a", several)
    for asking, expected in {
        Asking(9, statuses=(400, 599)): [2, 3],
        Asking(9, statuses=(502, 502)): [3],
        Asking(9, method="POST"): [1],
        Asking(9, path="/b"): [2, 3],
        Asking(9, error="app_died"): [3],
        Asking(9, q="404"): [2],
        Asking(9, slower_us=1_000_000): [2],
        Asking(9, since=20.0, until=30.0): [2],
        Asking(9, version=2): [3],
        Asking(9, path="%"): [],
    }.items():
        assert found(requests, asking)[0] == expected
        assert [row.id for row in stored if asking.takes(row)] == expected


def test_a_rare_one_is_looked_for_in_bounded_steps(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_THROUGH_MAX", 10)
    requests.store("a", [request("/rare"), *[request()] * 24])
    steps, before = [], 0
    while True:
        ids, page = found(requests, Asking(1, path="rare"), before)
        steps.append((ids, page.first, page.last))
        before = page.first
        if not page.older:
            break
    assert steps == [([], 16, 25), ([], 6, 15), ([1], 1, 5)]


def test_headers_come_with_their_request_and_others_that_ran_meanwhile_are_counted(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BESIDE_MAX", 3)
    times = [(10.0, 1.0), (10.5, 0.1), (12.0, 1.0), (10.9, 5.0)]
    rows = [replace(request(), at=at, total_us=int(took * 1e6), version=1, request_id=f"r{at}") for at, took in times]
    requests.store("a", rows, {"r10.0": Heads("Host: a", "Server: b")})
    one, heads = asyncio.run(requests.one("a", 1)) or (None, None)
    assert one is not None
    assert (one.end, heads) == (11.0, Heads("Host: a", "Server: b"))
    assert asyncio.run(requests.beside("a", one)) == 2
    assert asyncio.run(requests.one("a", 5)) is None
    assert (asyncio.run(requests.one("a", 2)) or (None, 1))[1] is None


def test_a_time_long_ago_is_found_without_looking_through_all_since(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a request that began then and took long."""
    monkeypatch.setattr(module, "LOOKED_THROUGH_MAX", 20)
    monkeypatch.setattr(module, "BESIDE_MAX", 5)
    rows = [replace(request(), at=float(number), total_us=100_000) for number in range(1, 201)]
    rows[52] = replace(request("/slow"), at=50.2, total_us=2_900_000)
    requests.store("a", rows)
    ids, page = found(requests, Asking(10, since=49.5, until=52.5))
    assert (ids, page.older, page.newer) == ([50, 51, 52, 53], False, True)
    assert found(requests, Asking(10, since=500.0))[0] == []
    assert found(requests, Asking(3, since=198.5))[0] == [199, 200]
