"""The settings form's fields: what is true, what would be, who said so, and what was wished."""

from __future__ import annotations

from dataclasses import replace

from steadyd.errors import SteadyError
from steadyd.model import App, Choices, Kind, Limits, Network
from steadyd.settings import Policy, change
from steadyd.web.fields import ASPECTS, fields, own, wishes

POLICY = Policy(ceilings=Limits(1 << 30, 4.0, 512, 0))


def app(chosen: Choices = Choices(), shipped: Choices = Choices()) -> App:
    made = App("id", 1, "hello", "owner", "Owner", 1, False, False, 0.0, 0.0, owner_kind=Kind.USER)
    return replace(made, chosen=chosen, shipped=shipped, settings=POLICY.settings(chosen, shipped, Kind.USER))


def test_who_said_what_and_what_would_be_without_it() -> None:
    found = fields(app(Choices(memory_bytes=64 << 20), Choices(memory_bytes=128 << 20, idle_seconds=0.0)), POLICY, {})
    memory, idle, cpus = found["memory"], found["idle"], found["cpus"]
    assert (memory.typed, memory.now, memory.otherwise, memory.source) == ("64MiB", "64MiB", "128MiB", "owner")
    assert (idle.typed, idle.now, idle.source, idle.ceiling) == ("", "never", "version", "")
    assert (cpus.now, cpus.source, cpus.ceiling) == ("1", "host", "4")
    assert found["disk"].ceiling == ""
    assert [field.aspect for field in found.values()] == list(ASPECTS.values())


def test_parts_of_the_trial_are_fields_of_their_own() -> None:
    found = fields(app(Choices(trial={"health": False}), Choices(trial={"mode": "start"})), POLICY, {})
    health, mode, test = found["trial.health"], found["trial.mode"], found["trial.test"]
    assert (health.typed, health.now, health.otherwise, health.source) == ("off", "off", "/", "owner")
    assert (mode.typed, mode.now, mode.source) == ("", "start", "version")
    assert (test.typed, test.now, test.source) == ("", "off", "host")


def test_only_what_differs_is_wished_and_can_be_changed_so() -> None:
    mine = app(Choices(memory_bytes=0, network=Network.NONE, trial={"mode": "off"}))
    typed = {name: own(mine, name) for name in ASPECTS}
    assert typed["memory"] == "0"
    assert wishes(mine, typed) == {}
    typed |= {"memory": "", "cpus": "0.5", "auto_rollback": "on", "trial.mode": "", "trial.health": "OFF"}
    typed |= {"trial.test": "off", "unknown": "x"}
    wished = wishes(mine, typed)
    trial = {"mode": None, "health": False, "test": False}
    assert wished == {"memory": None, "cpus": "0.5", "auto_rollback": True, "trial": trial}
    after = change(mine.chosen, wished)
    assert (after.memory_bytes, after.cpus, after.network) == (None, 0.5, Network.NONE)
    assert after.trial == {"health": False, "test": False}


def test_what_was_refused_is_shown_as_it_was_typed_with_the_reason() -> None:
    error = SteadyError("invalid", "No.", {"field": "trial.health"})
    found = fields(app(), POLICY, {"trial.health": "up", "cpus": "many"}, error)
    assert (found["trial.health"].typed, found["trial.health"].problem) == ("up", "No.")
    assert (found["cpus"].typed, found["cpus"].problem) == ("many", "")
