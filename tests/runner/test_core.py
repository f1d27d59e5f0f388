from __future__ import annotations

import os

from steadyd.model import RESERVED_NAMES, Kind, Principal
from steadyd.runner.core import CORE_NAME, Core


def test_it_is_an_app_of_the_operators_with_a_name_that_nobody_else_can_have() -> None:
    core = Core("control", Principal("op", Kind.OPERATOR, "operator", 1.0), 2.0, lambda: 3)
    assert (core.app.id, core.app.name, core.app.owner_id, core.app.version) == ("control", CORE_NAME, "op", 0)
    assert CORE_NAME in RESERVED_NAMES
    assert not core.app.is_open_source
    assert core.asked() == 3


def test_it_uses_what_this_process_does() -> None:
    core = Core("control", Principal("op", Kind.OPERATOR, "operator", 1.0), 2.0, lambda: 0)
    before, reading = sum(os.times()[:2]), core.reading()
    assert reading is not None
    assert before - 0.1 <= reading.cpu_seconds <= sum(os.times()[:2]) + 0.1
    assert reading.memory_bytes > 10 << 20
