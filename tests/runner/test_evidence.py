from __future__ import annotations

from steadyd.linux.group import Sample, Toll
from steadyd.model import Limits, Reached
from steadyd.runner.evidence import reached_by

SAMPLE = Sample(1, 2, 3.0, 0.12345, 5, 6, 7)
TOLL = Toll(1, 2, 3, 4)


def test_a_cgroups_numbers_become_a_cards() -> None:
    assert reached_by(SAMPLE, TOLL, Limits(10, 1.0, 20, 30), 29) == Reached(2, 10, 2, 5, 20, 3, 29, 30, 4, 0.123)


def test_no_limit_is_none() -> None:
    reached = reached_by(SAMPLE, TOLL, Limits(0, 0, 0, 0))
    assert (reached.memory_limit_bytes, reached.processes_limit, reached.disk_limit_bytes) == (None, None, None)
    assert reached.disk_bytes is None, "unknown, not nothing"
