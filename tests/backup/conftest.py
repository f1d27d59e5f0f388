"""A real steady.db, a real S3 server and a proxy before it, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.objectstore import Fault, FaultProxy, ObjectStore
from tests.records.conftest import database as database


@pytest.fixture(scope="session")
def moto() -> Iterator[ObjectStore]:
    """One server for all tests of a process: each uses a prefix of its own."""
    with ObjectStore() as store:
        yield store


@pytest.fixture(scope="module")
def _proxy(moto: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(moto.port) as proxy:
        yield proxy


@pytest.fixture
def proxy(_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The way to `moto`, without a fault before and after the test."""
    yield _proxy
    _proxy.become(Fault.NONE)
