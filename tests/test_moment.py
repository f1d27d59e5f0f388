from __future__ import annotations

from steadyd.moment import PointKind
from steadyd.runner.controller import POINTED


def test_every_kind_of_change_that_keeps_what_was_before_is_a_kind_of_point() -> None:
    assert set(POINTED.values()) <= set(PointKind)
    assert all(kind == point.value for kind, point in POINTED.items())
