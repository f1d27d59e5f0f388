"""The collector's policy leaves what exists alone."""

from __future__ import annotations

import gc

from steadyd.proxy.collector import MIDDLE_PER_FULL, YOUNG_OBJECTS_MAX, YOUNG_PER_MIDDLE, settle_collector


def test_what_exists_is_frozen_and_collections_are_rare() -> None:
    before = gc.get_threshold()
    try:
        settle_collector()
        assert gc.get_freeze_count() > 1_000
        assert gc.get_threshold() == (YOUNG_OBJECTS_MAX, YOUNG_PER_MIDDLE, MIDDLE_PER_FULL)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
