"""A real steady.db for every test of these records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from steadyd.records.schema import STEADY
from steadyd.store import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "steady.db", STEADY)
    yield made
    made.close()
