from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steadyd.records import requests as module
from steadyd.records.requests import OPEN_FILES_MAX, Request, Requests


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
