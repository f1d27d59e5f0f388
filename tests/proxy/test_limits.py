"""The contract's named defaults."""

from __future__ import annotations

import dataclasses

import pytest

from steadyd.proxy.limits import MIB, Limits


def test_the_defaults_of_the_contract() -> None:
    limits = Limits()
    assert limits.body_bytes_max == 100 * MIB
    assert limits.connections_per_client_max == 4_096
    assert (limits.header_bytes_max, limits.header_count_max, limits.url_bytes_max) == (65_536, 128, 16_384)
    assert (limits.header_seconds_max, limits.idle_seconds_max, limits.answer_seconds_max) == (10, 75, 120)


def test_limits_are_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().body_bytes_max = 1  # type: ignore[misc]
