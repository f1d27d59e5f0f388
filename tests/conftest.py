"""Fixtures that every wing of the tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steadyd.runner.process import settle_descriptors
from tests import warm
from tests.served import Daemon, data_folder, remove


def pytest_sessionstart() -> None:
    """Tests with a thousand connections need what the daemon gives itself."""
    settle_descriptors()


def pytest_sessionfinish() -> None:
    warm.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what starts Bun or a daemon: by a fixture that does, or by a class of the module that does."""
    for item in items:
        starts = {"daemon", "own_daemon", "bun"} & set(getattr(item, "fixturenames", ()))
        if starts or {"BunApp", "Daemon", "Run"} & vars(getattr(item, "module", item)).keys():
            item.add_marker("process")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One real daemon for the tests of a module; tests use app names of their own."""
    data = data_folder()
    started = Daemon(data, "--start-deadline", "10s")
    try:
        yield started
        assert started.stop() == 0, "".join(started.output)
    finally:
        started.kill()
        remove(data)
