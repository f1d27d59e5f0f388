"""What a version's own file asks for."""

from __future__ import annotations

import json

import pytest

from steadyd.errors import SteadyError
from steadyd.manifest import Manifest, read_manifest
from steadyd.model import Choices, Cron, Kind, Limits, Network
from steadyd.settings import Policy

POLICY = Policy(ceilings=Limits(1 << 30, 4.0, 512, 10 << 30))


def asked(tree: dict[str, bytes], owner: Kind = Kind.USER) -> Manifest:
    return read_manifest(tree, POLICY, owner)


def refused(tree: dict[str, bytes], owner: Kind = Kind.USER) -> SteadyError:
    with pytest.raises(SteadyError) as caught:
        asked(tree, owner)
    assert caught.value.code == "deploy_failed"
    assert caught.value.details["step"] == "check"
    return caught.value


def package(**steady: object) -> dict[str, bytes]:
    return {"package.json": json.dumps({"memory": 1, "steady": steady}, indent=2).encode()}


def test_nothing_is_asked_for_by_most() -> None:
    assert asked({}) == asked({"package.json": b"{}"}) == asked(package()) == Manifest()


def test_both_files_ask_alike() -> None:
    wanted = {"memory": "64MiB", "idle": "never", "network": "none", "crons": [], "trial": {"health": False}}
    choices = Choices(memory_bytes=64 << 20, idle_seconds=0.0, network=Network.NONE, trial={"health": False})
    assert asked(package(**wanted)) == asked({"steady.json": json.dumps(wanted).encode()}) == Manifest(choices)


def test_a_bad_value_names_file_field_and_line() -> None:
    error = refused(package(cpus=1, memory="lots"))
    assert error.details == {
        "step": "check", "file": "package.json", "field": "steady.memory", "line": 5, "reason": error.message,
    }  # fmt: skip
    assert error.message.startswith("package.json: “memory”: “lots” is not a size")
    assert refused({"steady.json": b'{\n"cpus": []}'}).details["line"] == 2


def test_a_bad_field_of_the_trial_is_named_with_its_line() -> None:
    error = refused(package(network="internet", trial={"mode": "full", "network": "on"}))
    assert (error.details["field"], error.details["line"]) == ("steady.trial.network", 7)
    assert error.message == "package.json: “trial.network”: “on” is none of auto, off, app."
    assert refused({"steady.json": b'{"trial": true}'}).details["field"] == "trial"


def test_too_much_names_the_ceiling() -> None:
    assert refused(package(memory="2GiB")).details["ceiling"] == 1 << 30
    assert refused(package(memory="256MiB"), Kind.GUEST).details["ceiling"] == 128 << 20


def test_what_nothing_reads_is_said() -> None:
    assert asked(package(memroy=1)).notes == ("Nothing reads “steady.memroy” in package.json; it is ignored.",)
    assert asked({"steady.json": b'{"notify": "https://x.example"}'}).notes == (
        "Nothing reads “notify” in steady.json; it is ignored.",
    )


@pytest.mark.parametrize(
    "tree",
    [
        {"package.json": b'{"steady": []}'},
        {"steady.json": b"[]"},
        {"steady.json": b"{"},
        {"steady.json": b"\xff"},
        {"steady.json": b"{}", "package.json": b'{"steady": {}}'},
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tree: dict[str, bytes]) -> None:
    assert refused(tree).details["file"] in tree


def test_crons_are_read_and_what_is_wrong_names_file_field_and_line() -> None:
    found = asked(package(crons=[{"schedule": "@hourly", "path": "/tick"}])).crons
    assert found == (Cron("tick", "@hourly", path="/tick"),)
    error = refused(package(cpus=1, crons=[{"schedule": "0 25 * * *", "path": "/tick"}]))
    assert "cron 1: The hour “25”" in error.message
    assert (error.details["file"], error.details["field"], error.details["line"]) == ("package.json", "steady.crons", 5)
