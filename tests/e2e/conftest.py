"""A daemon for hostile apps, beside a neighbour that must not notice."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.arena import DESCRIPTORS_GROWTH_MAX, LOG_BYTES, RESIDENT_GROWTH_BYTES_MAX, START_SECONDS, held, settle
from tests.e2e.neighbour import P99_SECONDS_MAX, Neighbour
from tests.served import Daemon, data_folder, remove, until

PATIENT_SECONDS_MAX = 1.5
"""For 99 of 100 answers to the neighbour, while the test's own work waits for a processor too."""


@pytest.fixture(scope="module")
def arena() -> Iterator[Daemon]:
    """Short deadlines, so that a test need not wait for long ones."""
    data = data_folder()
    options = f"--start-deadline {START_SECONDS}s --grace 500ms --drain 500ms --logs {LOG_BYTES >> 20}MiB"
    started = Daemon(data, *options.split())
    try:
        Neighbour(started)
        settle(started)
        yield started
        assert started.stop() == 0, "".join(started.output)
        assert started.instances() == []
    finally:
        started.kill()
        remove(data)


@pytest.fixture
def attacked(arena: Daemon, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """What holds after every attack: the neighbour was answered, the daemon is the same and holds nothing more. A test
    that keeps every processor busy itself is marked `patient`."""
    patient = request.node.get_closest_marker("patient")
    with Neighbour(arena, p99_seconds_max=PATIENT_SECONDS_MAX if patient else P99_SECONDS_MAX):
        resident, descriptors = held(arena)
        yield arena
    assert arena.process.poll() is None
    assert httpx.get(f"{arena.url}/healthz").status_code == 200
    assert held(arena)[0] < resident + RESIDENT_GROWTH_BYTES_MAX
    until(lambda: held(arena)[1] <= descriptors + DESCRIPTORS_GROWTH_MAX, 5)
