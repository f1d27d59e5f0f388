"""What is said of crons."""

from __future__ import annotations

from typing import Any

import pytest

from steadyd.crontab import CRONS_MAX, PATH_CHARACTERS_MAX, read_cron, read_crons
from steadyd.errors import SteadyError
from steadyd.model import Cron


def test_the_shortest_calls_scheduled() -> None:
    assert read_cron({"schedule": "@daily"}) == Cron("scheduled", "@daily", export="scheduled")


def test_everything_said() -> None:
    said = {"id": "tick", "schedule": "0 9 * * *", "timezone": "Europe/Berlin", "path": "/a?b=c", "method": "get"}
    cron = read_cron(said)
    assert cron == Cron("tick", "0 9 * * *", "Europe/Berlin", "/a?b=c", "", "GET")


def test_ids_are_made_of_what_is_called_and_told_apart() -> None:
    said = [
        {"schedule": "@daily", "path": "/tasks/clean?all=1"},
        {"schedule": "@hourly", "path": "/tasks/clean?all=1"},
        {"schedule": "@hourly", "path": "/"},
        {"schedule": "@hourly", "export": "sendMail"},
    ]
    assert [cron.id for cron in read_crons(said)] == ["tasks-clean-all-1", "tasks-clean-all-1-2", "root", "sendmail"]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "schedule"),
        ({"schedule": 5}, "schedule"),
        ({"schedule": "@daily", "timezone": "Mars"}, "timezone"),
        ({"schedule": "@daily", "path": "tick"}, "path"),
        ({"schedule": "@daily", "path": "/a b"}, "path"),
        ({"schedule": "@daily", "path": "/a\r\nHost: x"}, "path"),
        ({"schedule": "@daily", "path": "/" + "a" * PATH_CHARACTERS_MAX}, "path"),
        ({"schedule": "@daily", "path": "/ä"}, "path"),
        ({"schedule": "@daily", "path": "/#x"}, "path"),
        ({"schedule": "@daily", "export": "not-a-name"}, "export"),
        ({"schedule": "@daily", "export": ""}, "export"),
        ({"schedule": "@daily", "path": "/", "export": "x"}, "export"),
        ({"schedule": "@daily", "path": "/", "method": "DELETE"}, "method"),
        ({"schedule": "@daily", "method": "POST"}, "method"),
        ({"schedule": "@daily", "id": "Not an id"}, "id"),
        ({"schedule": "@daily", "id": "a" * 41}, "id"),
        ({"schedule": "@daily", "every": "day"}, "every"),
        ([], "crons"),
        ("@daily", "crons"),
    ],
)
def test_what_cannot_be_read_is_named(said: Any, field: str) -> None:
    with pytest.raises(SteadyError) as caught:
        read_cron(said)
    assert (caught.value.code, caught.value.details) == ("invalid", {"field": field})


def test_a_list_says_which_of_them() -> None:
    with pytest.raises(SteadyError, match=r"cron 2: The minute “x” of “x \* \* \* \*” cannot be read"):
        read_crons([{"schedule": "@daily"}, {"schedule": "x * * * *"}])
    with pytest.raises(SteadyError, match="two of the id “a”"):
        read_crons([{"schedule": "@daily", "id": "a"}] * 2)
    with pytest.raises(SteadyError, match="must be a list"):
        read_crons({"schedule": "@daily"})


def test_an_app_has_so_many() -> None:
    assert len(read_crons([{"schedule": "@daily"}] * CRONS_MAX)) == CRONS_MAX
    with pytest.raises(SteadyError, match="at most 50 crons"):
        read_crons([{"schedule": "@daily"}] * (CRONS_MAX + 1))
