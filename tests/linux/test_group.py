"""The nouns of control groups."""

from __future__ import annotations

import dataclasses

import pytest

from steadyd.linux.group import Caps


def test_a_weight_is_ordinary_unless_said_otherwise_and_limits_are_values() -> None:
    caps = Caps(memory_bytes=1, cpus=0.5, processes=3)
    assert caps.cpu_weight == 100
    with pytest.raises(dataclasses.FrozenInstanceError):
        caps.cpus = 2  # type: ignore[misc]
