"""Fixtures that every wing of the tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import Daemon, data_folder, remove


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One real daemon for the tests of a module; tests use app names of their own."""
    data = data_folder()
    started = Daemon(data)
    try:
        yield started
        assert started.stop() == 0, "".join(started.output)
    finally:
        started.kill()
        remove(data)
