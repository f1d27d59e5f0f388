"""What time does to an app that nobody keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steadyd.model import App
from steadyd.terms import DAY_SECONDS, Fate, Terms

APP = App("id", 1, "hello", "o", "Owner", 1, temporary=True, held=False, created_at=0.0, updated_at=0.0)
WEEK = 7 * DAY_SECONDS
MONTH = 30 * DAY_SECONDS
SHORT = 60.0


def test_a_temporary_app_expires_and_is_collected_a_week_later_each() -> None:
    terms = Terms()
    app = replace(APP, expires_at=terms.expires_at(True, 0.0))
    assert [terms.fate(app, at) for at in (0.0, WEEK - 1, WEEK)] == [Fate.STAY, Fate.STAY, Fate.EXPIRE]
    expired = replace(app, deleted_at=WEEK + SHORT)
    assert terms.collected_at(expired) == 2 * WEEK + SHORT
    assert [terms.fate(expired, at) for at in (2 * WEEK, 2 * WEEK + SHORT)] == [Fate.STAY, Fate.COLLECT]


@pytest.mark.parametrize("expires_at", [None, WEEK])
def test_what_its_owner_deleted_is_kept_for_a_month(expires_at: float | None) -> None:
    deleted = replace(APP, expires_at=expires_at, deleted_at=1.0)
    assert [Terms().fate(deleted, at) for at in (MONTH, MONTH + 1)] == [Fate.STAY, Fate.COLLECT]


def test_an_app_that_is_not_temporary_stays() -> None:
    assert Terms().expires_at(False, 0.0) is None
    assert Terms().fate(replace(APP, temporary=False), 1e12) is Fate.STAY
    assert Terms().collected_at(APP) is None


def test_0_turns_it_off() -> None:
    terms = Terms(0, 0, 0)
    assert terms.expires_at(True, 0.0) is None
    assert terms.fate(replace(APP, deleted_at=1.0), 1e12) is Fate.STAY
    assert terms.fate(replace(APP, expires_at=1.0, deleted_at=1.0), 1e12) is Fate.STAY
