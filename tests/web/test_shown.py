"""From our nouns to the API's: UTC to the millisecond, and nothing that JSON cannot carry."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import msgspec

from steadyd.model import AppState, Asked, Death, Deploy, Reached
from steadyd.web import schema, shown
from tests.web.conftest import Stage, Web

CUT = (Asked("GET", "/\ud800"),)
DEATH = Death(1.0, 2, "signal", None, "SIGKILL", 3.0004, 4, ("last \ud800 words",), "It was killed.", 5, 6, CUT)


def test_times_are_utc_to_the_millisecond() -> None:
    assert msgspec.json.encode(shown.moment(1_700_000_000.1239)) == b'"2023-11-14T22:13:20.124000Z"'


def test_a_death_card_has_every_field_of_the_contract(web: Web) -> None:
    async def body(stage: Stage) -> None:
        app = await stage.app("hello")
        assert shown.app is not None
        assert (await shown.app(stage.rooms, app)).last_death is msgspec.UNSET
        await stage.rooms.library.deaths.add(app.id, DEATH)
        card = (await shown.app(stage.rooms, app)).last_death
        assert isinstance(card, schema.Death)
        assert set(card.__struct_fields__) == {field.name for field in fields(Death)}
        assert card.log_tail == ["last ? words"]
        assert set(card.reached.__struct_fields__) == {field.name for field in fields(Reached)}
        assert [asked.path for asked in card.requests] == ["/?"]
        msgspec.json.encode(card)

    web(body)


def test_every_state_is_in_the_contract() -> None:
    words = "stopped starting running frozen stopping backoff failed held suspended deleted".split()
    assert {state.value for state in AppState} == set(words)


def test_a_deploy_that_goes_on_has_no_end() -> None:
    running = Deploy(1, "a", 2, "deploy", "running", ({"name": "stage", "ms": 1.23456},), 10.0, None)
    assert shown.deploy(running).ms is None
    done = Deploy(1, "a", 2, "deploy", "live", (), 10.0, 10.0425)
    assert shown.deploy(done).ms == 42.5
    statuses = get_args(schema.Deploy.__annotations__["status"]) or ("running", "live", "failed")
    assert "live" in str(statuses)
