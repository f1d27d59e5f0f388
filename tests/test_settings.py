"""Settings: read, merged, and kept within the host's ceilings."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadyd.errors import SteadyError
from steadyd.model import (
    Choices,
    Durability,
    Kind,
    Limits,
    Network,
    Settings,
    Trial,
    TrialMode,
    TrialNetwork,
    Visibility,
)
from steadyd.settings import (
    AMOUNT_MAX,
    LIMITS,
    Policy,
    change,
    from_json,
    read,
    sources,
    to_json,
)

POLICY = Policy(ceilings=Limits(1 << 30, 4.0, 512, 10 << 30))
KINDS = st.sampled_from(Kind)
CHOICES = st.builds(
    Choices,
    memory_bytes=st.none() | st.integers(48 << 20, 4 << 30),
    cpus=st.none() | st.floats(0.05, 64),
    processes=st.none() | st.integers(0, 5_000),
    disk_bytes=st.none() | st.integers(1 << 20, 1 << 40),
    idle_seconds=st.none() | st.floats(1, 1e6) | st.just(0.0),
    network=st.none() | st.sampled_from(Network),
    visibility=st.none() | st.sampled_from(Visibility),
    notify=st.none() | st.just("") | st.just("https://example.org/x"),
    trial=st.none()
    | st.sampled_from([{"health": False}, {"network": "off", "health": "/up"}, {"mode": "start", "test": True}]),
    auto_rollback=st.none() | st.booleans(),
    durability=st.none() | st.sampled_from(Durability),
)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("memory", "256MiB", 256 << 20),
        ("memory", 268435456, 256 << 20),
        ("memory", 268435456.0, 256 << 20),
        ("cpus", 0.5, 0.5),
        ("cpus", "2", 2.0),
        ("processes", 64, 64),
        ("processes", "64", 64),
        ("disk", "1G", 1 << 30),
        ("disk", 0, 0),
        ("idle", "never", 0.0),
        ("idle", 0, 0.0),
        ("idle", "15min", 900.0),
        ("network", "none", Network.NONE),
        ("visibility", "unlisted", Visibility.UNLISTED),
        ("durability", "host", Durability.HOST),
        ("durability", "replica", Durability.REPLICA),
        ("notify", "https://ntfy.sh/x", "https://ntfy.sh/x"),
        ("trial", {}, {}),
        ("trial", {"health": "/up?x=1", "network": "app"}, {"health": "/up?x=1", "network": "app"}),
        ("trial", {"health": False, "test": True}, {"health": False, "test": True}),
    ],
)
def test_values_are_read_as_people_write_them(name: str, written: object, value: object) -> None:
    assert read(name, written) == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("memory", "1KiB"),
        ("memory", True),
        ("memory", -1),
        ("memory", {}),
        ("memory", "1e9"),
        ("cpus", "many"),
        ("cpus", float("inf")),
        ("cpus", True),
        ("cpus", 0.01),
        ("processes", 3),
        ("processes", "6.5"),
        ("processes", "9" * 19),
        ("processes", "٣"),
        ("idle", "soon"),
        ("idle", 0.5),
        ("network", "all"),
        ("visibility", "secret"),
        ("visibility", 1),
        ("durability", "disk"),
        ("trial", []),
        ("auto_rollback", "no"),
        ("trial", {"health": True}),
        ("trial", {"health": "up"}),
        ("trial", {"health": "/a b"}),
        ("trial", {"health": "/a\r\nX: y"}),
        ("trial", {"health": "/" + "a" * 1001}),
        ("trial", {"mode": "most"}),
        ("trial", {"network": 1}),
        ("trial", {"test": "yes"}),
        ("trial", {"tests": True}),
        ("notify", "http://plain.example"),
        ("notify", "https://a\nb"),
        ("notify", "https://user@a.example"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, written: object) -> None:
    with pytest.raises(SteadyError) as caught:
        read(name, written)
    [field] = caught.value.details.values()
    assert (caught.value.code, field.partition(".")[0]) == ("invalid", name)
    assert f"“{field}”" in caught.value.message


def test_amounts_end_somewhere() -> None:
    assert read("memory", AMOUNT_MAX) == AMOUNT_MAX
    for name in ("memory", "cpus", "processes", "disk", "idle"):
        with pytest.raises(SteadyError):
            read(name, AMOUNT_MAX + 1)


def test_an_unknown_setting_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(SteadyError, match="There is no setting “memroy”") as caught:
        change(Choices(), {"memroy": 1})
    assert caught.value.details == {"field": "memroy"}


def test_names_with_a_unit_are_understood_and_null_takes_back() -> None:
    chosen = change(Choices(cpus=2.0), {"memory_bytes": "64MiB", "idle_seconds": 60, "cpus": None})
    assert chosen == Choices(memory_bytes=64 << 20, idle_seconds=60.0)


def test_the_owner_goes_before_the_file_and_the_file_before_the_host() -> None:
    shipped = Choices(memory_bytes=512 << 20, cpus=2.0)
    settings = POLICY.settings(Choices(cpus=0.5), shipped, Kind.USER)
    assert settings == Settings(Limits(512 << 20, 0.5, 64, 1 << 30))
    told = sources(Choices(cpus=0.5), shipped)
    assert (told["cpus"], told["memory"], told["disk"]) == ("owner", "version", "host")


def test_guests_get_less_and_no_more() -> None:
    assert POLICY.settings(Choices(), Choices(), Kind.GUEST).limits == Limits(128 << 20, 1.0, 64, 100 << 20)
    with pytest.raises(SteadyError, match="more than a guest's app may have, which is 128MiB") as caught:
        POLICY.check(Choices(memory_bytes=256 << 20), Kind.GUEST)
    assert caught.value.details == {"field": "memory", "ceiling": 128 << 20}


def test_above_a_ceiling_is_refused_and_no_limit_is_above_every_ceiling() -> None:
    for choices in (Choices(cpus=5.0), Choices(memory_bytes=2 << 30), Choices(disk_bytes=0)):
        with pytest.raises(SteadyError) as caught:
            POLICY.check(choices, Kind.USER)
        assert caught.value.code == "invalid"
        assert caught.value.details["ceiling"]
    assert Policy().check(Choices(disk_bytes=0, cpus=512.0), Kind.USER)


def test_what_counts_as_less_is_told() -> None:
    chosen, shipped = Choices(memory_bytes=2 << 30, cpus=1.0), Choices(disk_bytes=0, memory_bytes=4 << 30)
    told = POLICY.lowered(chosen, shipped, Kind.USER)
    assert told[0].startswith("“memory” is ")
    assert told[0].endswith(" here, not 2GiB")
    assert told[1].endswith(" here, not no limit")
    assert len(told) == 2
    assert Policy().lowered(chosen, shipped, Kind.USER) == []


def test_a_default_above_its_ceiling_is_refused_by_option() -> None:
    with pytest.raises(SteadyError, match="--memory 256MiB is more than --memory-max 64MiB"):
        Policy(ceilings=Limits(64 << 20, 0.0, 0, 0)).check_itself()
    with pytest.raises(SteadyError, match="--disk no limit is more than --disk-max 1MiB"):
        Policy(Limits(disk_bytes=0), ceilings=Limits(0, 0.0, 0, 1 << 20)).check_itself()


@given(CHOICES, CHOICES, KINDS)
def test_what_is_true_never_lies_above_a_ceiling(chosen: Choices, shipped: Choices, owner: Kind) -> None:
    settings, ceiling = POLICY.settings(chosen, shipped, owner), POLICY.ceiling(owner)
    for name in LIMITS:
        assert 0 < getattr(settings.limits, name) <= getattr(ceiling, name)


@given(CHOICES, CHOICES, KINDS)
def test_what_passes_the_check_becomes_true_as_it_is(chosen: Choices, shipped: Choices, owner: Kind) -> None:
    try:
        POLICY.check(chosen, owner)
    except SteadyError:
        return
    settings = POLICY.settings(chosen, shipped, owner)
    for name, value in to_json(replace(chosen, trial=None)).items():
        assert getattr(settings.limits if name in LIMITS else settings, name) == value


@given(CHOICES)
def test_what_is_kept_comes_back(choices: Choices) -> None:
    assert from_json(json.loads(json.dumps(to_json(choices)))) == choices


def test_the_fields_of_a_trial_are_said_one_by_one() -> None:
    """The owner's go before the version's, those that were named."""
    shipped = Choices(trial={"network": "app", "health": "/up"})
    chosen = change(Choices(), {"trial": {"health": False}})
    assert Policy().settings(chosen, shipped, Kind.USER).trial == Trial(network=TrialNetwork.APP, health="")
    chosen = change(chosen, {"trial": {"mode": "start"}})
    assert chosen.trial == {"health": False, "mode": "start"}
    chosen = change(chosen, {"trial": {"health": None}})
    assert Policy().settings(chosen, shipped, Kind.USER).trial == Trial(TrialNetwork.APP, "/up", TrialMode.START)
    assert change(chosen, {"trial": {"mode": None}}).trial is None
    assert change(chosen, {"trial": None}) == Choices()
    assert sources(chosen, shipped)["trial"] == "owner"
    assert sources(Choices(), shipped)["trial"] == "version"
